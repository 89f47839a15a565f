"""Is max-pooling shift-invariant? Only slightly: a table and a plot against anti-aliased (blur) pooling.

    python examples/shift_invariance.py [--data mnist --data-root DIR] [--epochs 3] [--out reports]

The same network (two convolutions, each with pooling) is trained twice, with max-pooling and with the
anti-aliased max-pooling of Zhang ("Making Convolutional Networks Shift-Invariant Again", ICML 2019, arXiv
1904.11486), on pictures that stand where they stand. Then each test picture is moved by 0 to 4 pixels in
each of four directions (zeros come in at the border), and two things are measured: how many answers are
right, and how many stay the same when the picture moves by one pixel more.
"""

import argparse
import tempfile
from pathlib import Path

import torch

import cnnaudit as ca
from cnnaudit.data.datasets import Request, dataset

POOLS = ("max", "blur")
MOST = 4
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))
COLOURS = {"max": "#b3471d", "blur": "#1f6f8b"}


def moved(pixels: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Pictures (`n c h w`) moved by whole pixels; what comes in at the border is 0."""
    h, w = pixels.shape[-2:]
    framed = torch.nn.functional.pad(pixels, (MOST,) * 4)
    return framed[..., MOST - down : MOST - down + h, MOST - right : MOST - right + w]


def answers(classifier: ca.Classifier, pixels: torch.Tensor) -> torch.Tensor:
    return torch.cat([classifier.scores(part).argmax(1).cpu() for part in pixels.split(1000)])


def measured(classifier: ca.Classifier, pixels: torch.Tensor, labels: torch.Tensor) -> list[tuple[float, float]]:
    """For each shift: accuracy, and the share of answers that the next pixel leaves as they are."""
    places = {(shift * down, shift * right) for shift in range(MOST + 1) for down, right in DIRECTIONS}
    at = {place: answers(classifier, moved(pixels, *place)) for place in places}
    given = {(shift, way): at[shift * way[0], shift * way[1]] for shift in range(MOST + 1) for way in DIRECTIONS}
    rows = []
    for shift in range(MOST + 1):
        right = [(given[shift, way] == labels).float().mean() for way in DIRECTIONS]
        same = [(given[shift, way] == given[shift + 1, way]).float().mean() for way in DIRECTIONS if shift < MOST]
        rows.append((float(sum(right)) / len(right), float(sum(same)) / len(same) if same else float("nan")))
    return rows


def panel(title: str, left: int, found: dict[str, list[float]]) -> list[str]:
    """One chart: a share against the shift, a line for each pooling."""
    floor = max(0.0, int(10 * min(min(values) for values in found.values())) / 10)

    def place(shift: float, share: float) -> str:
        return f"{left + 70 * shift:.1f},{260 - 220 * (share - floor) / (1 - floor):.1f}"

    parts = [f'<text x="{left}" y="20">{title}</text>']
    for k in range(5):
        value = floor + (1 - floor) * k / 4
        y = place(0, value).partition(",")[2]
        parts.append(f'<path d="M{left} {y}h{70 * MOST}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y}" dy="4" text-anchor="end">{value:.0%}</text>')
    parts += [f'<text x="{left + 70 * s}" y="280" text-anchor="middle">{s}</text>' for s in range(MOST + 1)]
    parts.append(f'<text x="{left + 35 * MOST}" y="302" text-anchor="middle">shift in pixels</text>')
    for pool, values in found.items():
        points = " ".join(place(shift, value) for shift, value in enumerate(values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[pool]}" stroke-width="2.5"/>')
        x, y = place(len(values) - 1, values[-1]).split(",")
        parts.append(f'<text x="{float(x) + 8}" y="{y}" dy="4" fill="{COLOURS[pool]}">{pool}</text>')
    return parts


def plot(found: dict[str, list[tuple[float, float]]]) -> str:
    """Accuracy and consistency against shift as SVG."""
    right = {pool: [row[0] for row in rows] for pool, rows in found.items()}
    same = {pool: [row[1] for row in rows[:-1]] for pool, rows in found.items()}
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 310" font-family="sans-serif" font-size="13">']
    parts.append('<rect width="860" height="310" fill="#fff"/>')
    parts += panel("right answers", 60, right)
    parts += panel("answers that one pixel more leaves as they are", 490, same)
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="a dataset's name (see `cnnaudit datasets`)")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("reports"))
    chosen = parser.parse_args()
    test = dataset(chosen.data, Request(root=chosen.data_root)).tests["test"]
    pixels = test.images.float() / 255
    found = {}
    for pool in POOLS:
        with tempfile.TemporaryDirectory() as folder:
            result = ca.train(
                "cnn2", data=chosen.data, data_root=chosen.data_root, epochs=chosen.epochs, seed=chosen.seed,
                pool=pool, augmentation=(), out=folder,
            )  # fmt: skip
        found[pool] = measured(result.classifier, pixels, test.labels)
    print(f"{'shift':>5}" + "".join(f"{pool + ' accuracy':>16}{pool + ' consistency':>18}" for pool in POOLS))
    for shift in range(MOST + 1):
        cells = (f"{found[pool][shift][0]:>16.1%}{found[pool][shift][1]:>18.1%}" for pool in POOLS)
        print(f"{shift:>5}" + "".join(cells).replace("nan%", "   –"))
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / f"shift-invariance-{chosen.data}.svg"
    path.write_text(plot(found), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()

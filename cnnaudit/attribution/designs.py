"""Which segments each copy shows: designs of pairs of opposites."""

import math

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from cnnaudit.errors import OptionError

_MOST = 4  # segments a sample
_ALWAYS = 1000  # segments that may be asked about by few samples: it costs nothing


def check_samples(samples: int, count: int) -> None:
    """Refuse far more segments than samples, which would cost much and say nothing.

    Raises:
        OptionError: there are more than four segments a sample.
    """
    if count > max(_ALWAYS, _MOST * samples):
        raise OptionError(
            f"{count:,} segments are too many for {samples:,} samples: their values would be left to chance. Take "
            f"fewer segments, or {-(-count // _MOST):,} samples at the very least; three a segment begin to tell."
        )


def hadamard_pairs(pairs: int, count: int, generator: torch.Generator) -> Bool[Tensor, "n k"]:
    """Random masks in pairs of opposites, `2 * pairs` rows of `count` columns; rows 2i and 2i+1 are a pair.

    They come in blocks. Each is a Hadamard matrix with its opposite below it, so that within a block every
    three columns show each of their eight patterns equally often (an orthogonal array of strength 3), and
    main effects are clear of each other and of all interactions of two. Columns are chosen, rows ordered
    and signs drawn at random, so that each row alone is uniform over all masks.
    """
    order, blocks = _order(count), []
    for made in range(0, pairs, order):
        columns = torch.randperm(order, generator=generator, device="cpu")[:count]
        rows = torch.randperm(order, generator=generator, device="cpu")[: pairs - made]
        flips = torch.randint(2, (count,), generator=generator, device="cpu", dtype=torch.bool)
        blocks.append(_rows(order, rows)[:, columns] ^ flips)
    return _with_opposites(torch.cat(blocks))


def hadamard(least: int) -> Bool[Tensor, "n n"]:
    """The smallest of Paley's Hadamard matrices with at least `least` rows; True stands for -1.

    Paley 1933: for a prime q that leaves 3 when divided by 4, one of order q + 1 from the squares modulo q.
    """
    order = _order(least)
    return _rows(order, torch.arange(order, device="cpu"))


def _order(least: int) -> int:
    return 1 + next(q for q in range(max(3, least - 1), 8 * least + 8) if q % 4 == 3 and _is_prime(q))


def _rows(order: int, rows: Int[Tensor, " n"]) -> Bool[Tensor, "n order"]:
    """These rows of the matrix alone: thousands of columns would make it large."""
    q = order - 1
    squares = torch.zeros(q, dtype=torch.bool, device="cpu")
    squares[torch.arange(1, q, device="cpu") ** 2 % q] = True
    negative = torch.ones(len(rows), order, dtype=torch.bool, device="cpu")
    negative[:, 1:] = ~squares[(rows[:, None] - 1 - torch.arange(q, device="cpu")) % q]
    negative[rows == 0] = False
    negative[torch.arange(len(rows), device="cpu"), rows] = False
    return negative


def size_pairs(pairs: int, count: int, generator: torch.Generator) -> Bool[Tensor, "n k"]:
    r"""Random masks in pairs of opposites, whose sizes $m$ follow Shapley's kernel $\propto 1 / (m (K - m))$.

    The sizes are drawn systematically, so that their numbers differ from what is expected by less than one;
    given its size, every mask is as likely as any other.
    """
    sizes = torch.arange(1, count, dtype=torch.float64, device="cpu")
    shares = (1 / (sizes * (count - sizes))).cumsum(0)
    start = torch.rand(1, generator=generator, dtype=torch.float64, device="cpu")
    places = (start + torch.arange(pairs, device="cpu")) / pairs * shares[-1]
    chosen = 1 + torch.searchsorted(shares, places).clamp(max=count - 2)
    chosen = chosen[torch.randperm(pairs, generator=generator, device="cpu")]
    ranks = torch.rand(pairs, count, generator=generator, dtype=torch.float64, device="cpu").argsort(1).argsort(1)
    return _with_opposites(ranks < chosen[:, None])


def every_mask(count: int) -> Bool[Tensor, "n k"]:
    """All `2 ** count` masks; column i of row r is bit i of r."""
    rows = torch.arange(2**count, device="cpu")
    return (rows[:, None] >> torch.arange(count, device="cpu")) % 2 == 1


def every_pair(count: int, generator: torch.Generator) -> Bool[Tensor, "n k"]:
    """All masks in pairs of opposites, the pairs in random order, so that the first of them are a fair sample."""
    order = torch.randperm(2 ** (count - 1), generator=generator, device="cpu")
    return _with_opposites(every_mask(count)[order])


def _with_opposites(masks: Bool[Tensor, "n k"]) -> Bool[Tensor, "m k"]:
    return torch.stack([masks, ~masks], 1).flatten(0, 1)


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % divisor for divisor in range(2, math.isqrt(n) + 1))

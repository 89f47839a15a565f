"""What an ablation says, in one sentence."""

from collections.abc import Sequence

from cnnaudit.report.numbers import percent
from cnnaudit.results import Loss, Meaning


def claim(
    layer: str,
    unit: int,
    classes: Sequence[Loss],
    hurt: int | None,
    doubted: int | None,
    meaning: Meaning | None,
    *,
    labelled: bool,
) -> str:
    """What a unit fires on, where that is sure, and what changes without it: recall, else log-odds, else nothing.

    Without known classes, recall counts the pictures that the network still answers as it does with the unit.
    """
    if hurt is not None:
        effect = _recall(classes[hurt]) if labelled else _answers(classes[hurt])
    else:
        effect = _odds(None if doubted is None else classes[doubted])
    if meaning is not None and meaning.is_sure:
        return f"Channel {unit} of {layer} fires on {meaning.part}; without it, {effect}."
    return f"Without channel {unit} of {layer}, {effect}."


def _recall(loss: Loss) -> str:
    way = "falls" if loss.change.value < 0 else "rises"
    return f"{loss.label} recall {way} from {percent(loss.before.value)} to {percent(loss.after.value)}"


def _answers(loss: Loss) -> str:
    return f"{percent(loss.after.value)} of the answers “{loss.label}” stay"


def _odds(loss: Loss | None) -> str:
    if loss is None or loss.odds is None:
        return "nothing changes by more than chance"
    before, after = (
        f"{value:.2f}".replace("-", "−") for value in (loss.odds_before, loss.odds_before + loss.odds.value)
    )
    return f"the log-odds of {loss.label} fall from {before} to {after} in its pictures"

"""What an ablation says, in one sentence."""

from cnnaudit.report.numbers import percent
from cnnaudit.results import Loss, Meaning


def claim(layer: str, unit: int, hurt: Loss | None, meaning: Meaning | None, *, labelled: bool) -> str:
    """What a unit fires on, where that is sure, and which class suffers or gains most without it, if any does.

    Without known classes, `hurt` counts the pictures that the network still answers as it does with the unit.
    """
    effect = _effect(hurt, labelled)
    if meaning is not None and meaning.is_sure:
        return f"Channel {unit} of {layer} fires on {meaning.part}; without it, {effect}."
    return f"Without channel {unit} of {layer}, {effect}."


def _effect(hurt: Loss | None, labelled: bool) -> str:
    if hurt is None:
        return "no class changes by more than chance"
    if not labelled:
        return f"{percent(hurt.after.value)} of the answers “{hurt.label}” stay"
    way = "falls" if hurt.change.value < 0 else "rises"
    return f"{hurt.label} recall {way} from {percent(hurt.before.value)} to {percent(hurt.after.value)}"

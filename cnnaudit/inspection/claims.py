"""What an ablation says, in one sentence each."""

from collections.abc import Sequence

from cnnaudit.numbers import count, percent
from cnnaudit.results import GroupAblation, Loss, Meaning


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
    """What a unit fires on, where that is sure, and what changes without it: recall, else log-odds, if any do.

    Without known classes, recall counts the pictures that the network still answers as it does with the unit.
    """
    effect = _effect(classes, [] if hurt is None else [hurt], doubted, labelled=labelled)
    if meaning is not None and meaning.is_sure:
        return f"Channel {unit} of {layer} fires on {meaning.part}; without it, {effect}."
    return f"Without channel {unit} of {layer}, {effect}."


def group_claim(group: GroupAblation, *, labelled: bool) -> str:
    """The same of several units: what they all fire on, else the class that they help, and what changes without them.

    Of the classes whose recall changes, the first two are named.
    """
    effect = _effect(group.classes, group.hurt[:2], group.doubted, labelled=labelled)
    many = count(len(group.units))
    if group.parts:
        those = f"{many} of {count(group.channels)} channels of {group.layer}"
        return f"{those} fire on {_either(group.parts)}; without them, {effect}."
    if group.helped is None:
        return f"Without {many} named channel{'s' * (len(group.units) > 1)} of {group.layer}, {effect}."
    return f"Without the {many} channels of {group.layer} that help {group.helped} most, {effect}."


def _effect(classes: Sequence[Loss], hurt: Sequence[int], doubted: int | None, *, labelled: bool) -> str:
    if hurt:
        changed = [classes[place] for place in hurt]
        return _recall(changed) if labelled else _answers(changed)
    if doubted is None:
        return f"no {'recall' if labelled else 'answers'} and no log-odds change much by more than chance"
    return _odds(classes[doubted])


def _either(parts: Sequence[str]) -> str:
    """`"forest, grass or snow"`."""
    return f"{', '.join(parts[:-1])} or {parts[-1]}" if len(parts) > 1 else parts[0]


def _recall(changed: Sequence[Loss]) -> str:
    first, *more = changed
    said = f"the recall of {first.label} {_way(first)} {_ends(first)}"
    for loss in more:
        verb = "" if _way(loss) == _way(first) else f"{_way(loss)} "
        said += f", and that of {loss.label} {verb}{_ends(loss)}"
    return said


def _way(loss: Loss) -> str:
    return "falls" if loss.change.value < 0 else "rises"


def _ends(loss: Loss) -> str:
    return f"from {percent(loss.before.value)} to {percent(loss.after.value)}"


def _answers(changed: Sequence[Loss]) -> str:
    first, *more = changed
    said = f"only {percent(first.after.value)} of the answers “{first.label}” stay"
    return said + "".join(f", and {percent(loss.after.value)} of “{loss.label}”" for loss in more)


def _odds(loss: Loss) -> str:
    change = loss.odds.value if loss.odds else 0.0
    before, after = (f"{value:.2f}".replace("-", "−") for value in (loss.odds_before, loss.odds_before + change))
    way = "fall" if change < 0 else "rise"
    return f"the mean log-odds of {loss.label} in its pictures {way} from {before} to {after}"

"""What the page begins with: the strongest thing that was found, and the next ones in a sentence each."""

from collections.abc import Iterator
from dataclasses import dataclass

from cnnaudit import numbers
from cnnaudit.results import InspectionFacts

_CLASSES = 2


@dataclass(frozen=True, slots=True)
class Opening:
    """The claim is a sentence of its own; None where the network's size is all that can be said."""

    claim: str | None
    sentences: tuple[str, ...]


def opening(found: InspectionFacts) -> Opening:
    """In words that come from what was found alone."""
    return Opening(_claim(found), tuple(_sentences(found)))


def _claim(found: InspectionFacts) -> str | None:
    """What is lost without the units that most depends on, where that is more than chance.

    A group without which recall falls further than without as many others goes before single units, and units whose
    meaning is known before others.
    """
    groups = [group for group in (found.ablation.groups if found.ablation else ()) if group.stands_out]
    surely = [unit for unit in (found.ablation.units if found.ablation else ()) if unit.hurt is not None]
    meant = [unit for unit in surely if unit.meaning is not None and unit.meaning.is_sure]
    first = (*(group for group in groups if group.parts), *meant, *groups, *surely)
    return next((each.claim.removesuffix(".") for each in first), None)


def _sentences(found: InspectionFacts) -> Iterator[str]:
    if found.dataset is not None:
        yield _answers(found)
    yield from _single_units(found)
    if found.dead_units:
        units = sum(each.units for each in found.dead_units.values())
        dead = sum(len(each.dead) for each in found.dead_units.values())
        some = f"{numbers.count(dead)} of its {numbers.count(units)} units" if dead else "None of its units"
        yield f"{some} {'is' if dead < 2 else 'are'} dead on them."
    if found.filters:
        yield _filters(found)
    compared = found.feature_visualization and found.feature_visualization.compared
    if found.feature_visualization and compared:
        yield (
            f"{numbers.count(found.feature_visualization.exceeding)} of {numbers.count(compared)} pictures made for "
            "single units excite them more than any of these pictures does."
        )


def _answers(found: InspectionFacts) -> str:
    ran = f"It was run on {numbers.count(found.pictures)} pictures of {found.dataset}"
    if found.ablation is None or not found.ablation.labelled:
        return f"{ran}."
    return f"{ran}; {numbers.share(found.ablation.units[0].whole.before.value)} of its answers are right."


def _single_units(found: InspectionFacts) -> Iterator[str]:
    """For each class, most doubted first, the one unit with a sure meaning without which its log-odds fall most."""
    falls: dict[str | None, tuple[float, str]] = {}
    for unit in found.ablation.units if found.ablation else ():
        if unit.doubted is None or unit.meaning is None or not unit.meaning.is_sure:
            continue
        loss = unit.classes[unit.doubted]
        if loss.odds and loss.odds.value < min(0.0, falls.get(loss.label, (0.0, ""))[0]):
            falls[loss.label] = loss.odds.value, unit.claim
    for _, claim in sorted(falls.values())[:_CLASSES]:
        yield claim


def _filters(found: InspectionFacts) -> str:
    banks = found.filters.banks if found.filters else ()
    count = numbers.count(sum(bank.shape[0] for bank in banks))
    zero = sum(len(bank.near_zero) for bank in banks)
    alike = sum(bank.duplicated for bank in banks)
    if not zero and not alike:
        return f"None of its {count} filters is near zero or nearly repeats another."
    return (
        f"Of its {count} filters, {numbers.count(zero)} {'is' if zero == 1 else 'are'} near zero, and "
        f"{numbers.count(alike)} nearly repeat another."
    )

"""Operations that put elements elsewhere: views, slices, concatenations, other orders."""

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate

from cnnaudit.errors import LayerError
from cnnaudit.inspection.fields import Field
from cnnaudit.inspection.operations import Operation, joined, named_places


def viewed(operation: Operation) -> Field:
    """Another shape."""
    return operation.source().viewed(operation.shape)


def restrided(operation: Operation) -> Field:
    """Other strides for the same elements, as channels-last memory wants them of dimensions of one place."""
    tensor = operation["self"]
    steps = zip(tensor.shape, tensor.stride(), operation["stride"], strict=False)
    start = operation["storage_offset"]
    if operation.shape != tuple(tensor.shape) or any(n > 1 and old != new for n, old, new in steps) or start:
        raise LayerError("'as_strided' mixes or moves positions in a way that is not followed")
    return operation.source()


def permuted(operation: Operation) -> Field:
    """Dimensions in another order."""
    return operation.source().permuted(operation["dims"])


def transposed(operation: Operation) -> Field:
    """Two dimensions exchanged."""
    field = operation.source()
    order = list(range(len(field.dimensions)))
    one, two = operation.first("dim0", default=0), operation.first("dim1", default=-1)
    order[one], order[two] = order[two], order[one]
    return field.permuted(order)


def expanded(operation: Operation) -> Field:
    """Broadcast."""
    return operation.source().expanded(operation.shape)


def channels_shuffled(operation: Operation) -> Field:
    """Channels dealt out anew, one of each group in turn."""
    field, groups = operation.source(), operation["groups"]
    n, channels, *rest = operation.shape
    apart = field.viewed((n, groups, channels // groups, *rest))
    return apart.permuted((0, 2, 1, *range(3, 3 + len(rest)))).viewed(operation.shape)


def repeated(operation: Operation) -> Field:
    """Laid side by side with itself."""
    field = operation.source()
    field = field.expanded((1,) * (len(operation.shape) - len(field.dimensions)) + field.shape)
    places = [place for place, times in enumerate(operation["repeats"]) if times != 1]
    return _resized_still(operation, field, places)


def shuffled(operation: Operation) -> Field:
    """Places in another order, or fewer of them, along a dimension."""
    field = operation.source()
    return _resized_still(operation, field, named_places(operation, field))


def _resized_still(operation: Operation, field: Field, places: Sequence[int]) -> Field:
    """Places taken in another order, or repeatedly, along dimensions that have nothing to do with the picture."""
    if any(field.moves(place) or field.varies(place) for place in places):
        raise LayerError(f"{operation.name!r} moves positions of the picture")
    return reduce(lambda other, place: other.resized(place, operation.shape[place]), places, field)


def indexed(operation: Operation) -> Field:
    """`x[:, [2, 0]]`: places along one dimension, by number."""
    field, indices = operation.source(), operation["indices"]
    places = [place for place, index in enumerate(indices) if index is not None]
    if len(places) != 1 or indices[places[0]].ndim != 1 or operation.of(indices[places[0]]) is not None:
        raise LayerError("'index' mixes or moves positions in a way that is not followed")
    return _resized_still(operation, field, places)


def sliced(operation: Operation) -> Field:
    """Every `step`-th place from a first to a last."""
    field, place = operation.source(), operation["dim"]
    start = _index(operation["start"] or 0, field.shape[place])
    return field.window(place, operation.shape[place], stride=operation["step"], before=-start)


def selected(operation: Operation) -> Field:
    """One place along a dimension."""
    field, place = operation.source(), operation["dim"]
    return _one(field, place, _index(operation["index"], field.shape[place]))


def unbound(operation: Operation) -> list[Field | None]:
    """Each place along a dimension."""
    field, place = operation.source(), operation["dim"]
    return [_one(field, place, at) for at in range(len(operation.shapes))]


def _one(field: Field, place: int, at: int) -> Field:
    return field.window(place, 1, before=-at).spread(place).dropped(place)


def _index(index: int, size: int) -> int:
    return min(size, max(0, index + size if index < 0 else index))


def split(operation: Operation) -> list[Field | None]:
    """Stretches of a dimension."""
    field, place = operation.source(), operation["dim"]
    sizes = [shape[place] for shape in operation.shapes]
    starts = accumulate(sizes, initial=0)
    return [field.window(place, size, before=-start) for size, start in zip(sizes, starts, strict=False)]


def concatenated(operation: Operation) -> Field:
    """One behind the other."""
    parts = [part for part in operation["tensors"] if part.numel()]
    return _laid_side_by_side(operation, [(operation.of(part), part.shape[operation["dim"]]) for part in parts])


def stacked(operation: Operation) -> Field:
    """One behind the other along a new dimension."""
    place = operation["dim"] % len(operation.shape)
    fields = [operation.of(part) for part in operation["tensors"]]
    return _laid_side_by_side(operation, [(field and field.inserted(place), 1) for field in fields])


def _laid_side_by_side(operation: Operation, parts: Sequence[tuple[Field | None, int]]) -> Field:
    place, starts = operation["dim"], accumulate((size for _, size in parts), initial=0)
    if any(field and field.moves(place) for field, _ in parts):
        raise LayerError("it concatenates along a direction of the picture")
    total = operation.shape[place]
    fields = [field and field.among(place, start, total) for (field, _), start in zip(parts, starts, strict=False)]
    return joined(fields, operation.shape)

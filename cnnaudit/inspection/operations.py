"""One call of one of torch's operations, as its dispatcher sees it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from cnnaudit.errors import LayerError
from cnnaudit.inspection.fields import Field


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One call of one operation.

    Attributes:
        name: without overload, and without the underscore of one that works in place.
        arguments: by the schema's names, defaults included.
        shapes: of the tensors that it returned.
        of: what a tensor argument sees; None for one that sees nothing of the picture.
        pointwise: whether each element comes from those with its own index.
    """

    name: str
    arguments: Mapping[str, Any]
    shapes: Sequence[tuple[int, ...]]
    of: Callable[[Tensor], Field | None]
    pointwise: bool

    @classmethod
    def called(
        cls,
        func: torch._ops.OpOverload,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        returned: Sequence[Tensor],
        of: Callable[[Tensor], Field | None],
    ) -> "Operation":
        """From what the dispatcher passes on."""
        schema = func._schema
        defaults = {argument.name: argument.default_value for argument in schema.arguments}
        given = dict(zip((argument.name for argument in schema.arguments), args, strict=False))
        name = schema.name.partition("::")[2].removesuffix("_")
        shapes = [tuple(tensor.shape) for tensor in returned]
        return cls(name, defaults | given | dict(kwargs), shapes, of, torch.Tag.pointwise in func.tags)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first result."""
        return self.shapes[0]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def first(self, *names: str, default: Any = None) -> Any:
        """The first of these arguments that the operation has; overloads name the same thing differently."""
        return next((self.arguments[name] for name in names if name in self.arguments), default)

    def field(self, name: str = "self") -> Field | None:
        """What a tensor argument sees; None for one that is not given, too."""
        tensor = self.arguments[name]
        return None if tensor is None else self.of(tensor)

    def source(self, name: str = "self") -> Field:
        """The same, of the argument that must see something.

        Raises:
            LayerError: only others do.
        """
        field = self.field(name)
        if field is None:
            raise LayerError(f"{self.name!r} is led by values that depend on the picture")
        return field


def tensors(value: Any) -> list[Tensor]:
    """All tensors among an operation's arguments or results."""
    if isinstance(value, Tensor):
        return [value]
    return [tensor for item in value for tensor in tensors(item)] if isinstance(value, tuple | list) else []


def joined(fields: Sequence[Field | None], shape: Sequence[int]) -> Field:
    """Of elements that are made from those with their own index in several tensors, broadcast to `shape`.

    Raises:
        LayerError: the positions of the tensors lie on different grids.
    """
    return reduce(Field.joined, [field.expanded(shape) for field in fields if field is not None])


def named_places(operation: Operation, field: Field) -> list[int]:
    """The dimensions that the operation names; all where it names none."""
    dim = operation.first("dim", "dims")
    places = [dim] if isinstance(dim, int) else dim or range(len(field.dimensions))
    return [place % len(field.dimensions) for place in places]

"""Things that are held as long as they fit into some memory."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

MOST = 256 << 20


class Sized(Protocol):
    """Something that knows its size."""

    @property
    def nbytes(self) -> int: ...


Thing = TypeVar("Thing", bound=Sized)


class Holding(Generic[Thing]):
    """Things by their keys; what was not asked for the longest goes first.

    Args:
        most: bytes of all that are held; what is larger alone is not held.

    Attributes:
        nbytes: of all that are held.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most, self.nbytes = most, 0
        self._held: OrderedDict[Hashable, Thing] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable) -> Thing | None:
        """What is held by this key."""
        if key in self._held:
            self._held.move_to_end(key)
        return self._held.get(key)

    def put(self, key: Hashable, thing: Thing) -> None:
        """Hold something by a key that nothing is held by."""
        self._held[key] = thing
        self.nbytes += thing.nbytes
        while self.nbytes > self._most:
            self.nbytes -= self._held.popitem(last=False)[1].nbytes

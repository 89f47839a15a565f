"""Which patches of a set of pictures excite the units of a network most."""

from dataclasses import dataclass

from cnnaudit.results.effective_fields import Box
from cnnaudit.results.networks import ReceptiveField
from cnnaudit.results.trainings import Share
from cnnaudit.shapes import Photo


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """What a unit saw where it was most active in one picture.

    Attributes:
        index: of the picture in the set.
        name: of its file; empty where it has none.
        label: its class, or what the network says; see `Exemplars.labelled`.
        activation: the unit's largest value in this picture.
        position: where in the layer's output, one number for each of its spatial directions.
        box: the pixels that this position sees, cut off at the picture's edges.
        pixels: these, as the network was given them, before normalisation.
    """

    index: int
    name: str
    label: str
    activation: float
    position: tuple[int, ...]
    box: Box
    pixels: Photo


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the best patches of a unit show, by the parts that are marked in the pictures.

    Attributes:
        part: the background's name, the class of what is before it, or what these classes have in common.
        patches: how many of the best patches show this part in their middle; of at least as many as are drawn.
        chance: share of patches at random places of random pictures of which the same is true.
        is_sure: whether the lower end of the interval is above one half and above chance.
    """

    part: str
    patches: Share
    chance: float
    is_sure: bool


@dataclass(frozen=True, slots=True, eq=False)
class UnitExemplars:
    """The best patches of one unit, the most active first, at most one a picture.

    Attributes:
        unit: the channel's number.
        mean, deviation: over all pictures, of the unit's largest value in each.
        prominence: how far the best patches' mean activation is above `mean`, in units of `deviation`; 0 for a
            unit that does not vary.
        meaning: None where no parts are marked in the pictures.
    """

    unit: int
    mean: float
    deviation: float
    prominence: float
    patches: tuple[Patch, ...]
    meaning: Meaning | None


@dataclass(frozen=True, slots=True, eq=False)
class LayerExemplars:
    """The units of one layer.

    Attributes:
        shape: channels, rows and columns of its output; a signal has one row.
        field: what a position sees; None where it cannot be told, and whole pictures are shown.
        silent: channels whose value is the same everywhere in all pictures.
        units: the chosen ones, the most prominent first where they were not named.
    """

    layer: str
    shape: tuple[int, int, int]
    field: ReceptiveField | None
    silent: tuple[int, ...]
    units: tuple[UnitExemplars, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Exemplars:
    """The best patches of the units of some layers, in the order of the layers.

    Attributes:
        pictures: how many were gone through.
        labelled: whether the patches' classes are the true ones; otherwise they are the network's answers.
        whole: share of the pictures of each class, the most frequent first; what patches without any
            preference would come from. Empty where the classes are not known.
        unread: the files that could not be read, each with the reason.
    """

    pictures: int
    labelled: bool
    whole: tuple[tuple[str, float], ...]
    layers: tuple[LayerExemplars, ...]
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeadUnits:
    """The channels of a convolution or linear layer that answer nothing on some pictures.

    Attributes:
        layer: the one that has these channels.
        behind: the module behind which they were watched, such as its activation function, or `layer:function` where
            that is no module of its own.
        units: how many channels there are.
        dead: those whose value there was the same everywhere in all pictures.
        pictures: how many.
    """

    layer: str
    behind: str
    units: int
    dead: tuple[int, ...]
    pictures: int

    @property
    def share(self) -> float:
        """Of dead channels among all."""
        return len(self.dead) / self.units

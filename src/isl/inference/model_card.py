"""What a model knows about itself: stored in the model file, shown by ``isl info``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat

from isl.core.axes import VoxelSize
from isl.core.config import Normalization
from isl.core.networks import AnyNetwork
from isl.core.settings import Config
from isl.io.fov import Modality

FORMAT_VERSION: Literal[1] = 1
"""Version of the model file that this program writes, and the newest that it reads."""


class TargetCard(Config):
    """A target that the model predicts."""

    name: Annotated[str, Field(min_length=1)]
    """Channel name of the target."""
    color: str | None = None
    """Display colour as six hexadecimal digits."""
    offset: FiniteFloat
    """Image value that the network calls zero."""
    scale: Annotated[FiniteFloat, Field(gt=0)]
    """Image values per unit of the network."""
    projection: Literal["max", "mean", "middle"] = "max"
    """How a target with several planes became one image."""
    window: tuple[FiniteFloat, FiniteFloat] | None = None
    """Display range in the unit of the image."""


class SourceCard(Config):
    """The transmitted-light channel that the model was trained on."""

    name: Annotated[str, Field(min_length=1)]
    """Channel name of the source."""
    modality: Modality | None = None
    """How it was imaged, where known."""
    planes: Annotated[int, Field(ge=1)]
    """Planes of the training stacks; others are accepted."""
    depth_um: Annotated[FiniteFloat, Field(gt=0)] | None = None
    """Distance from the first to the last plane of the training stacks in micrometres, where it is
    known; planes of other stacks are then placed by their heights."""
    normalization: Normalization = "standard"
    """How its pixels are brought to the range that the network expects."""


class TrainedField(Config):
    """A field of view that the model has seen."""

    name: str
    """Name of the field."""
    path: str
    """File or folder it was read from."""


class Provenance(Config):
    """Where a model comes from."""

    version: str
    """Version of this program."""
    date: str
    """Day and time of the training, or of the import, ISO 8601."""
    torch: str
    """Version of PyTorch."""
    steps: Annotated[int, Field(ge=0)]
    """Optimiser steps."""
    minutes: Annotated[float, Field(ge=0)]
    """Minutes spent training."""
    seed: int
    """Seed of weights, patches and augmentation."""
    imported_from: str | None = None
    """Checkpoint of another program that the weights were taken from."""


class ModelCard(Config):
    """Everything but the weights."""

    format_version: Literal[1] = FORMAT_VERSION
    """Version of the model file."""
    targets: Annotated[tuple[TargetCard, ...], Field(min_length=1)]
    """Targets, in the order of the network's output."""
    source: SourceCard
    """The source."""
    voxel_size: VoxelSize
    """Voxel size of the training images in micrometres."""
    network: Annotated[AnyNetwork, Field(discriminator="name")]
    """The network that the weights belong to."""
    training: dict[str, Any]
    """Resolved settings of the training run."""
    holdout: str | None = None
    """What was kept back from training, as the ``--holdout`` option writes it."""
    trained_on: tuple[TrainedField, ...] = ()
    """Fields of view used for training."""
    scores: dict[str, float] | None = None
    """Pearson r of each target on the held-out part."""
    provenance: Provenance
    """Where the model comes from."""

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the targets in the model's order."""
        return tuple(target.name for target in self.targets)

"""What is predicted from and what is written: the two ends of a prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

import isl
from isl.core.axes import Box
from isl.core.errors import ChannelError
from isl.inference.arrays import check_finite
from isl.inference.model_card import ModelCard, TargetCard
from isl.inference.statistics import Statistic
from isl.io.fov import Fov
from isl.io.output import OutputChannel, OutputField
from isl.io.roles import choose_roles


@dataclass(frozen=True)
class Job:
    """A field with the channel to predict from.

    Attributes
    ----------
    fov
        The field.
    source
        Name of the channel.
    note
        Why this channel, where it was guessed.
    """

    fov: Fov
    source: str
    note: str = ""

    @property
    def what(self) -> str:
        """The field in words, for messages."""
        return f"{self.fov.path}: field {self.fov.name}, channel '{self.source}'"

    def read(self, t: int) -> Callable[[Box], NDArray[Any]]:
        """Access to the pixels of one time point; raises where they are not numbers."""
        what = f"{self.what}, time point {t}"
        return lambda box: check_finite(self.fov.read(self.source, t=t, box=box), what)


def find_source(card: ModelCard, fov: Fov, source: str | None) -> Job:
    """Choose the channel asked for, else the one named as in training, else the plausible one.

    Raises
    ------
    ChannelError
        Where that channel is absent or double, or none is plausible.
    """
    name = card.source.name if source is None else source
    if source is not None or name in fov.channel_names:
        fov.channel_index(name)
        return Job(fov, name)
    try:
        roles = choose_roles([fov], targets=())
    except ChannelError as error:
        raise ChannelError(
            f"{fov.path}: field {fov.name} has no channel '{name}', which the model was trained "
            f"on, and no other is clearly the source; it has: {', '.join(fov.channel_names)}; "
            "name the source with --source"
        ) from error
    guessed = f"predicted from '{roles.source}', as there is no '{name}'"
    return Job(fov, roles.source, f"{guessed}: {roles.reason.partition(';')[0]}")


def output_field(
    fov: Fov, targets: Sequence[TargetCard], statistics: Sequence[Statistic]
) -> OutputField:
    """Layout of the prediction of one field."""
    channels = tuple(
        OutputChannel(statistic.channel(target.name), target.color, statistic.window(target))
        for statistic in statistics
        for target in targets
    )
    return OutputField(
        name=fov.name,
        channels=channels,
        size_t=fov.size_t,
        size_y=fov.size_y,
        size_x=fov.size_x,
        voxel_size=fov.voxel_size,
        well=fov.well,
        plate=fov.plate,
    )


def provenance(card: ModelCard, statistics: Sequence[Statistic]) -> dict[str, Any]:
    """What an output says about where it comes from."""
    return {
        "program": f"isl {isl.__version__}",
        "statistics": [statistic.name for statistic in statistics],
        "model": card.model_dump(mode="json", exclude={"training"}),
    }

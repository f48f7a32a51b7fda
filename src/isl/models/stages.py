"""A network cut into stages, so that an image can flow through it in bands of rows.

The stages form a small graph: each is called with what earlier ones gave, or with the source.
Inference compiles them one by one and keeps only the rows that are still needed between them, so
that an image of any height passes in constant memory, and hardly a row is computed twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

SOURCE = "source"
"""Name of what the first stages are called with: the stack, sampled in depth."""


@dataclass(frozen=True)
class Stage:
    """A part of a network.

    Attributes
    ----------
    name
        Unique within its network.
    module
        In evaluation mode; called with one (1, channels, rows, columns) tensor for each input, it
        gives another. Its convolutions pad with zeros.
    inputs
        Names of earlier stages, or `SOURCE`.
    pitch_px
        Pixels of the image per row, and per column, of what it gives; at least 1.
    reach_px
        What it gives for some rows of the image does not depend on inputs further away than this.
    align_px
        The rows that it is called with start and end at multiples of this many pixels of the
        image, all inputs at the same ones.
    """

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    pitch_px: int
    reach_px: int
    align_px: int


def run_stages(stages: tuple[Stage, ...], source: Tensor) -> Tensor:
    """Run a whole image through all stages, one after the other.

    Parameters
    ----------
    stages
        In an order in which inputs come before what needs them.
    source
        (1, planes, Y, X), sampled in depth; Y and X are multiples of the network's stride.

    Returns
    -------
    Tensor
        What the last stage gives.
    """
    return stage_outputs(stages, source)[stages[-1].name]


def stage_outputs(
    stages: Sequence[Stage],
    source: Tensor,
    runs: Mapping[str, Callable[..., Tensor]] | None = None,
) -> dict[str, Tensor]:
    """What each stage gives for a whole image, by name, and the source.

    Parameters
    ----------
    stages, source
        As for `run_stages`.
    runs
        What is called in place of the module of each stage; the modules by default.
    """
    found = {SOURCE: source}
    for stage in stages:
        run = stage.module if runs is None else runs[stage.name]
        found[stage.name] = run(*(found[name] for name in stage.inputs))
    return found

"""A network whose stages a backend has prepared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isl.inference.backends.backend import Backend, Run
from isl.inference.flow import Band, Rows, flow, plan_bands
from isl.models.density import DensityNetwork
from isl.models.stages import Stage, stage_outputs


@dataclass(frozen=True)
class Compiled:
    """The stages of a network, ready to run.

    Attributes
    ----------
    stages
        In order.
    runs
        The compiled module of each.
    backend
        What compiled them.
    """

    stages: tuple[Stage, ...]
    runs: Mapping[str, Run]
    backend: Backend

    @classmethod
    def of(cls, network: DensityNetwork, backend: Backend) -> Compiled:
        """Compile a network that is in evaluation mode on the processor."""
        stages = network.stages()
        examples = example_inputs(stages, network)
        runs = {stage.name: backend.compile(stage, examples[stage.name]) for stage in stages}
        return cls(stages, runs, backend)

    def image(self, source: Tensor) -> Tensor:
        """Run a whole image (1, planes, Y, X); see `isl.models.stages.run_stages`."""
        found = stage_outputs(self.stages, self._given(source), self.runs)
        return found[self.stages[-1].name].float()

    def bands(self, height_px: int, wanted: Rows, most_px: int) -> tuple[Band, ...]:
        """Bands in which no stage that reads the source is shown more rows than allowed.

        Parameters
        ----------
        height_px, wanted
            As for `isl.inference.flow.plan_bands`.
        most_px
            Rows of the source that a stage may be shown at once; more where that is less than
            the receptive field.
        """
        stride = max(stage.align_px for stage in self.stages)
        height = min(most_px, height_px)
        while True:
            height = max(height // stride, 1) * stride
            bands = plan_bands(self.stages, height_px, wanted, height)
            excess = max(band.source[1] - band.source[0] for band in bands) - most_px
            if excess <= 0 or height == stride:
                return bands
            height -= excess

    def flow(
        self, height_px: int, bands: Sequence[Band], source: Iterator[Tensor]
    ) -> Iterator[tuple[Rows, Tensor]]:
        """See `isl.inference.flow.flow`; what comes out is float32."""
        given = (self._given(rows) for rows in source)
        for rows, found in flow(self.stages, self.runs, height_px, bands, given):
            yield rows, found.float()

    def _given(self, source: Tensor) -> Tensor:
        return source.to(self.backend.device, self.backend.dtype)


def example_inputs(
    stages: Sequence[Stage], network: DensityNetwork
) -> dict[str, tuple[Tensor, ...]]:
    """Small inputs of each stage, as they are when the network sees noise.

    Parameters
    ----------
    stages
        Of the network.
    network
        It, in evaluation mode on the processor.
    """
    side = 2 * network.stride
    noise = torch.Generator().manual_seed(0)
    source = torch.randn(1, network.depth.slots, side, side, generator=noise)
    with torch.inference_mode():
        found = stage_outputs(stages, source)
    return {stage.name: tuple(found[name] for name in stage.inputs) for stage in stages}

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

    def bands(self, height_px: int, wanted: Rows, band_px: int) -> tuple[Band, ...]:
        """See `isl.inference.flow.plan_bands`."""
        return plan_bands(self.stages, height_px, wanted, band_px)

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

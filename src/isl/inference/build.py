"""Make what inference runs of a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from isl.inference.backends.backend import Choice
from isl.inference.backends.choose import choose_backend, make_backend
from isl.inference.compiled import Compiled
from isl.inference.engine import Engine
from isl.inference.model_card import TargetCard
from isl.models.density import DensityNetwork
from isl.models.labeling import LabelingNetwork


def choose(network: LabelingNetwork, backend: str, threads: int | None) -> Choice:
    """Choose what runs a network.

    Parameters
    ----------
    network
        In evaluation mode on the processor, batch normalisation folded in.
    backend
        ``"auto"`` for the fastest here, or the name of a backend.
    threads
        Threads of the processor; all of them by default.

    Raises
    ------
    ConfigError
        Where there is no such backend.
    """
    if not isinstance(network, DensityNetwork):
        return Choice(make_backend("torch", threads), "torch, as this network has no stages")
    if backend == "auto":
        return choose_backend(network.stages(), network.depth.slots, threads)
    return Choice(make_backend(backend, threads), f"{backend}, as asked for")


def build_engine(
    network: LabelingNetwork, targets: Sequence[TargetCard], choice: Choice, medians_only: bool
) -> Engine:
    """Compile a network.

    Parameters
    ----------
    network
        As for `choose`.
    targets
        Their units.
    choice
        What runs the network; one without stages runs on a GPU where there is one.
    medians_only
        Whether nothing but medians is predicted.
    """
    offset = torch.tensor([target.offset for target in targets]).float()[:, None, None]
    scale = torch.tensor([target.scale for target in targets]).float()[:, None, None]
    if isinstance(network, DensityNetwork):
        seen = network.medians_only() if medians_only else network
        return Engine(seen, offset, scale, Compiled.of(seen, choice.backend), medians_only)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Engine(network, offset, scale)

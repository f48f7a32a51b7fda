"""Small networks of each kind, with weights that matter everywhere."""

import torch

from isl.core.networks import AnyNetwork, ConvNeXtConfig, NetworkConfig, UNetConfig
from isl.inference.backends.backend import Backend
from isl.inference.folding import fold_batch_norm
from isl.models.build import build_labeling_network
from isl.models.density import DensityNetwork
from isl.models.stages import SOURCE, Stage, run_stages

KINDS: dict[str, AnyNetwork] = {
    "default": NetworkConfig(widths=(8, 12, 16), blocks=(1, 1, 1), z_slots=3),
    "unet": UNetConfig(widths=(4, 8, 12), z_slots=3),
    "convnext": ConvNeXtConfig(widths=(8, 12), blocks=(1, 1), z_slots=3),
}


def stages_of(kind: str, planes: int = 3) -> tuple[Stage, ...]:
    """Stages of a network of two targets, as inference runs it, its outputs of the order of 1."""
    torch.manual_seed(1)
    network = build_labeling_network(KINDS[kind].model_copy(update={"z_slots": planes}), ["a", "b"])
    for name, weight in network.named_parameters():
        if weight.ndim == 1 and ("norm" in name or "scale" in name):
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    folded = fold_batch_norm(network)
    assert isinstance(folded, DensityNetwork)
    return folded.stages()


def image(rows: int, columns: int, planes: int = 3) -> torch.Tensor:
    """A normalised stack of noise."""
    return torch.randn(1, planes, rows, columns, generator=torch.Generator().manual_seed(rows))


def run_backend(backend: Backend, stages: tuple[Stage, ...], source: torch.Tensor) -> torch.Tensor:
    """Run a whole image by a backend, compiled from examples of another size."""
    example, found = {SOURCE: image(16, 16, source.shape[1])}, {SOURCE: source.to(backend.device)}
    for stage in stages:
        inputs = [example[name] for name in stage.inputs]
        with torch.inference_mode():
            example[stage.name] = stage.module(*inputs)
        run = backend.compile(stage, inputs)
        found[stage.name] = run(*(found[name] for name in stage.inputs))
    return found[stages[-1].name].float().cpu()


def eager(stages: tuple[Stage, ...], source: torch.Tensor) -> torch.Tensor:
    """What the modules themselves give."""
    with torch.inference_mode():
        return run_stages(stages, source)

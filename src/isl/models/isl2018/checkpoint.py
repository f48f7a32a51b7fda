"""Weights of the published network from a checkpoint of the released TensorFlow program."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isl.core.errors import ModelFileError
from isl.core.networks import Isl2018Config
from isl.io.tf_checkpoint import read_tf_checkpoint
from isl.models.isl2018.blocks import Head, Rv2Convolution, ScaleModule
from isl.models.isl2018.layout import lay_out
from isl.models.isl2018.network import Isl2018, head_names

RELEASED_TARGETS = (
    "DAPI_CONFOCAL",
    "DAPI_WIDEFIELD",
    "CELLMASK_CONFOCAL",
    "TUJ1_WIDEFIELD",
    "NFH_CONFOCAL",
    "MAP2_CONFOCAL",
    "ISLET_WIDEFIELD",
    "DEAD_CONFOCAL",
    "NEURITE_CONFOCAL",
)
"""Targets of the released program, in its order."""

Variables = Mapping[str, NDArray[Any]]

_PROJECTION = "Conv/weights"
_TARGET_BIAS = re.compile(r"head/MAXPROJECT/(.+)/residual_v2_conv/Conv/biases")
_PLANE_BIAS = re.compile(r"head/[0-9.]+/TRANSMISSION/residual_v2_conv/Conv/biases")
_BOOKKEEPING = re.compile(
    r"(.*/)?(global_step|beta[12]_power|Adam(_1)?|Adagrad|Momentum|ExponentialMovingAverage)"
)
_LARGEST_BASE_DEPTH = 1000
_SHOWN = 3


def from_checkpoint(folder: str | Path) -> Isl2018:
    """Build the published network with the weights of a checkpoint.

    Parameters
    ----------
    folder
        Folder of a TensorFlow 1 checkpoint, or the path of its files without their endings.

    Returns
    -------
    Isl2018
        In evaluation mode; its size and its heads follow from the variables.

    Raises
    ------
    DataError, DamagedFileError
        Where there is no checkpoint, or its files are damaged.
    ModelFileError
        Where variables are missing, surplus or have another shape than the network's; the message
        names them.  What an optimiser keeps beside them is left aside.

    Examples
    --------
    >>> network = from_checkpoint("checkpoints")           # doctest: +SKIP
    >>> network.config.base_depth, len(network.heads)      # doctest: +SKIP
    (400, 35)
    """
    return from_variables(read_tf_checkpoint(folder), str(folder))


def from_variables(variables: Variables, what: str) -> Isl2018:
    """Build the network of the variables of a checkpoint; see `from_checkpoint`.

    Parameters
    ----------
    variables
        Arrays by their TensorFlow names.
    what
        Where they come from, for messages.
    """
    kept = {n: v for n, v in variables.items() if not _BOOKKEEPING.fullmatch(n)}
    found = [match[1] for name in kept if (match := _TARGET_BIAS.fullmatch(name))]
    known = [name for name in RELEASED_TARGETS if name in found]
    targets = [*known, *sorted(set(found) - set(known))]
    if not targets:
        raise ModelFileError(
            f"{what}: there is no variable head/MAXPROJECT/.../residual_v2_conv/Conv/biases, so "
            "this is no checkpoint of the published network; give one written by its program"
        )
    config = _config(kept, targets)
    network = Isl2018(config, head_names(config, targets))
    expected = dict(_parameters(network))
    _check(kept, expected, what)
    with torch.no_grad():
        for name, parameter in expected.items():
            parameter.copy_(torch.from_numpy(_in_torch_order(kept[name])))
    return network.eval()


def variable_names(network: Isl2018) -> dict[str, tuple[int, ...]]:
    """TensorFlow names and shapes of all variables of a network."""
    return {name: _tensorflow_shape(t) for name, t in _parameters(network)}


def _config(variables: Variables, targets: list[str]) -> Isl2018Config:
    """Size of the network that the variables come from, as far as they tell."""
    reconstructed = sum(bool(_PLANE_BIAS.fullmatch(name)) for name in variables)
    has_projection = _PROJECTION in variables
    first = variables.get(_PROJECTION if has_projection else f"{_FIRST_MODULE}/weights")
    # With a projection its input are the features; without one, ReLU and tanh double them.
    features = 0 if first is None or first.ndim != 4 else first.shape[2]
    planes = features // (2 if has_projection else 4) or reconstructed or 26
    bias = variables[f"head/MAXPROJECT/{targets[0]}/residual_v2_conv/Conv/biases"]
    return Isl2018Config(
        base_depth=_base_depth(variables),
        planes=planes,
        classes=max(2, bias.size),
        projection=first.shape[3] if has_projection and features and first is not None else 0,
        reconstruction=reconstructed > 0,
    )


_FIRST_MODULE = "lower_scale_0_recursion_0/expand_rv2/Conv"


def _base_depth(variables: Variables) -> int:
    """The roundest base depth from which most of the depths found follow."""
    found = {
        name.removesuffix("/Conv/weights"): array.shape[3]
        for name, array in variables.items()
        if name.endswith("expand_rv2/Conv/weights") and array.ndim == 4
    }

    def agreement(base_depth: int) -> tuple[int, bool, bool]:
        layout = lay_out(Isl2018Config(base_depth=base_depth))
        agreeing = sum(
            found.get(f"{module.name}/expand_rv2") == module.expand_depth
            for module in layout.modules
        )
        return agreeing, base_depth % 100 == 0, base_depth % 10 == 0

    return max(range(1, _LARGEST_BASE_DEPTH + 1), key=agreement)


def _parameters(network: Isl2018) -> Iterator[tuple[str, Tensor]]:
    """Every parameter and running statistic with its TensorFlow name."""
    core = network.core
    if isinstance(core.projection, torch.nn.Conv2d):
        yield _PROJECTION, core.projection.weight
        assert core.projection.bias is not None
        yield "Conv/biases", core.projection.bias
    for module in (*(m for tower in core.towers for m in tower.children()), *core.upper.children()):
        assert isinstance(module, ScaleModule)
        for part, convolution in (("expand", module.expand), ("reduce", module.reduce)):
            yield from _of_convolution(convolution, f"{module.layout.name}/{part}_rv2")
    for name, head in zip(network.head_names, network.heads, strict=True):
        assert isinstance(head, Head)
        yield from _of_convolution(head, f"{name}/residual_v2_conv")


def _of_convolution(block: Rv2Convolution, scope: str) -> Iterator[tuple[str, Tensor]]:
    norm, kind = block.norm, "Conv"
    if isinstance(block.conv, torch.nn.ConvTranspose2d):
        kind = "Conv2d_transpose"
    assert norm.running_mean is not None
    assert norm.running_var is not None
    yield f"{scope}/BatchNorm/gamma", norm.weight
    yield f"{scope}/BatchNorm/beta", norm.bias
    yield f"{scope}/BatchNorm/moving_mean", norm.running_mean
    yield f"{scope}/BatchNorm/moving_variance", norm.running_var
    yield f"{scope}/{kind}/weights", block.conv.weight
    if block.conv.bias is not None:
        yield f"{scope}/{kind}/biases", block.conv.bias


def _check(variables: Variables, expected: Mapping[str, Tensor], what: str) -> None:
    """Refuse variables that are not those of the network."""
    misshapen = [
        f"{name} {variables[name].shape}, expected {_tensorflow_shape(tensor)}"
        for name, tensor in expected.items()
        if name in variables and variables[name].shape != _tensorflow_shape(tensor)
    ]
    problems = {
        "missing": sorted(expected.keys() - variables.keys()),
        "not of this network": sorted(variables.keys() - expected.keys()),
        "of another shape": misshapen,
    }
    texts = [
        f"{len(names)} {kind}: {', '.join(names[:_SHOWN])}{' ...' if len(names) > _SHOWN else ''}"
        for kind, names in problems.items()
        if names
    ]
    if texts:
        raise ModelFileError(
            f"{what} is no checkpoint of the published network; variables {'; '.join(texts)}; "
            "give a whole checkpoint of the released program"
        )


def _tensorflow_shape(tensor: Tensor) -> tuple[int, ...]:
    """Shape under which TensorFlow keeps a tensor."""
    if tensor.ndim != 4:
        return tuple(tensor.shape)
    first, second, rows, columns = tensor.shape
    # Kernels are (Y, X, in, out), of transposed convolutions (Y, X, out, in); in both the order of
    # the channels is the reverse of PyTorch's.
    return rows, columns, second, first


def _in_torch_order(array: NDArray[Any]) -> NDArray[np.float32]:
    """Array in the order of axes that PyTorch keeps."""
    if array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
    return np.ascontiguousarray(array, np.float32)

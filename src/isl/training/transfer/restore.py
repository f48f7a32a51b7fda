"""Start from the weights of another model, as far as they fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from isl.core.errors import ConfigError
from isl.inference.model import Model
from isl.models.convnext import ConvNeXtUNet
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.labeling import LabelingNetwork
from isl.models.network import Network
from isl.models.unet import UNet

Part = Literal["inputs", "shared", "heads"]
"""Part of a network: its first layer, its heads, and all between."""

_INPUTS: dict[type[LabelingNetwork], str] = {
    Network: "stem.1.",
    UNet: "encoder.0.0.",
    ConvNeXtUNet: "stem.0.",
    Isl2018Labeling: "module.core.projection.",
}
_HEADS = ("module.heads.", "head.")


@dataclass(frozen=True)
class Restored:
    """What a network has taken over from another.

    Attributes
    ----------
    inputs
        Whether its first layer was.
    heads
        Names of the targets whose heads were.
    fresh_heads
        Names of the targets whose heads start anew.
    tensors
        Names of the tensors that were taken over as a whole, and the part they belong to.
    rows
        Rows that were taken over of tensors that all heads share, by the name of the tensor.
    """

    inputs: bool
    heads: tuple[str, ...]
    fresh_heads: tuple[str, ...]
    tensors: Mapping[str, Part] = field(default_factory=dict)
    rows: Mapping[str, tuple[slice, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        """In words."""
        parts = ["the shared part" + (", the first layer" if self.inputs else "")]
        if self.heads:
            parts.append(f"the heads of {', '.join(self.heads)}")
        anew = [] if self.inputs else ["the first layer"]
        anew += [f"the heads of {', '.join(self.fresh_heads)}"] if self.fresh_heads else []
        kept = " and ".join(parts)
        return kept + (f"; new are {' and '.join(anew)}" if anew else "; nothing is new")


def restore_weights(
    network: LabelingNetwork,
    targets: Sequence[str],
    old: Model,
    *,
    inputs: bool = True,
    heads: bool = True,
) -> Restored:
    """Copy weights from a model into a network.

    Parameters
    ----------
    network
        The network that is to be trained; changed in place.
    targets
        Names of its targets.
    old
        The model to start from.
    inputs
        Whether the first layer is copied too, where it has the same shape.
    heads
        Whether the heads of targets of the same name are copied too.

    Raises
    ------
    ConfigError
        Where the networks are of different kinds, or their shared parts or heads differ in size.
    """
    if type(network) is not type(old.network):
        raise ConfigError(
            f"the model to start from has the network {old.card.network.name}, but this run has "
            f"{network.config.name}; choose the same with --network.name, or leave out --network"
        )
    pair = _Pair(network.state_dict(), old.network.state_dict())
    parts = {name: part_of(network, name) for name in pair.new}
    pair.copy_shared([name for name, part in parts.items() if part == "shared"])
    first = [name for name, part in parts.items() if part == "inputs"]
    kept_inputs = inputs and pair.copy_inputs(first)
    kept = tuple(name for name in targets if heads and name in old.card.target_names)
    if heads and isinstance(network, Isl2018Labeling) and isinstance(old.network, Isl2018Labeling):
        pair.copy_modules(network.module.head_names, old.network.module.head_names)
    elif heads:
        pair.copy_rows(targets, old.card.target_names)
    fresh = tuple(name for name in targets if name not in kept)
    tensors = {name: parts[name] for name in pair.whole}
    return Restored(kept_inputs, kept, fresh, tensors, pair.rows)


def part_of(network: LabelingNetwork, name: str) -> Part:
    """Part of a network that a parameter or buffer of this name belongs to."""
    if name.startswith(_INPUTS[type(network)]):
        return "inputs"
    return "heads" if name.startswith(_HEADS) else "shared"


class _Pair:
    """The tensors of a new network and of the one they come from, and what was copied so far."""

    def __init__(self, new: dict[str, Tensor], given: dict[str, Tensor]) -> None:
        self.new, self.given = new, given
        self.whole: list[str] = []
        self.rows: dict[str, tuple[slice, ...]] = {}

    def _copy(self, name: str, before: str) -> None:
        with torch.no_grad():
            self.new[name].copy_(self.given[before])
        self.whole.append(name)

    def _fits(self, name: str) -> bool:
        return name in self.given and self.given[name].shape == self.new[name].shape

    def copy_shared(self, names: Sequence[str]) -> None:
        """Copy what is between the first layer and the heads, all of which has to fit."""
        wrong = sorted(name for name in names if not self._fits(name))
        if wrong:
            raise _other_size(wrong)
        for name in names:
            self._copy(name, name)

    def copy_inputs(self, names: Sequence[str]) -> bool:
        """Copy the first layer where it fits."""
        fits = all(map(self._fits, names))
        for name in names if fits else ():
            self._copy(name, name)
        return fits

    def copy_modules(self, heads: Sequence[str], old_heads: Sequence[str]) -> None:
        """Copy heads that are modules of their own."""
        for index, head in enumerate(heads):
            if head not in old_heads:
                continue
            after, before = f"module.heads.{index}.", f"module.heads.{old_heads.index(head)}."
            for name in [n for n in self.new if n.startswith(after)]:
                origin = before + name.removeprefix(after)
                if self.given[origin].shape != self.new[name].shape:
                    raise _other_size([name])
                self._copy(name, origin)

    def copy_rows(self, targets: Sequence[str], old_targets: Sequence[str]) -> None:
        """Copy heads that are consecutive rows of one layer."""
        for name in [n for n in self.new if n.startswith(_HEADS)]:
            count = self.new[name].shape[0] // len(targets)
            if self.given[name].shape[0] != count * len(old_targets):
                raise _other_size([name])
            places = _places(targets, old_targets, count)
            with torch.no_grad():
                for place, origin in places:
                    self.new[name][place] = self.given[name][origin]
            if len(places) == len(targets):
                self.whole.append(name)
            elif places:
                self.rows[name] = tuple(place for place, _ in places)


def _places(
    targets: Sequence[str], old_targets: Sequence[str], count: int
) -> list[tuple[slice, slice]]:
    """Rows of each target that both have, in the new and in the old layer."""
    return [
        (_rows(index, count), _rows(old_targets.index(target), count))
        for index, target in enumerate(targets)
        if target in old_targets
    ]


def _rows(index: int, count: int) -> slice:
    return slice(index * count, (index + 1) * count)


def _other_size(wrong: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"the model to start from has a network of another size ({len(wrong)} tensors differ, "
        f"such as {wrong[0]}); leave out the --network settings, and it is taken over"
    )

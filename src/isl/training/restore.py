"""Start from the weights of another model, as far as they fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isl.core.errors import ConfigError
from isl.inference.model import Model
from isl.models.distribution import PARAMETERS
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.labeling import LabelingNetwork
from isl.models.network import Network

_INPUTS = ("module.core.projection.", "stem.0.", "stem.1.")
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
    """

    inputs: bool
    heads: tuple[str, ...]
    fresh_heads: tuple[str, ...]

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
        Where the networks are of different kinds, or their shared parts differ in size.
    """
    if type(network) is not type(old.network):
        raise ConfigError(
            f"the model to start from has the network {old.card.network.name}, but this run has "
            f"{network.config.name}; choose the same with --network.name, or leave out --network"
        )
    new, given = network.state_dict(), old.network.state_dict()
    _copy_shared(new, given)
    kept_inputs = inputs and _copy_inputs(new, given)
    kept = tuple(name for name in targets if heads and name in old.card.target_names)
    if heads:
        _head_copier(network, old)(new, given, targets)
    return Restored(kept_inputs, kept, tuple(name for name in targets if name not in kept))


def _copy_shared(new: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    shared = {name for name in new if not name.startswith((*_INPUTS, *_HEADS))}
    wrong = sorted(n for n in shared if n not in given or given[n].shape != new[n].shape)
    if wrong:
        raise ConfigError(
            f"the model to start from has a network of another size ({len(wrong)} tensors differ, "
            f"such as {wrong[0]}); leave out the --network settings, and it is taken over"
        )
    with torch.no_grad():
        for name in shared:
            new[name].copy_(given[name])


def _copy_inputs(new: dict[str, Tensor], given: dict[str, Tensor]) -> bool:
    """Copy the first layer where it fits."""
    names = [name for name in new if name.startswith(_INPUTS)]
    if any(name not in given or given[name].shape != new[name].shape for name in names):
        return False
    with torch.no_grad():
        for name in names:
            new[name].copy_(given[name])
    return True


Copier = Callable[[dict[str, Tensor], dict[str, Tensor], Sequence[str]], None]


def _head_copier(network: LabelingNetwork, old: Model) -> Copier:
    """Function that copies the heads of targets that both networks have."""
    if isinstance(network, Isl2018Labeling) and isinstance(old.network, Isl2018Labeling):
        return _copier_of_modules(network.module.head_names, old.network.module.head_names)
    if isinstance(network, Network):
        return _copier_of_rows(old.card.target_names, network.config.stem_stride**2 * PARAMETERS)
    raise TypeError(f"{type(network).__name__} has no known heads")


def _copier_of_modules(heads: Sequence[str], old_heads: Sequence[str]) -> Copier:
    """Heads that are modules of their own."""

    def copy(new: dict[str, Tensor], given: dict[str, Tensor], targets: Sequence[str]) -> None:
        for index, head in enumerate(heads):
            if head in old_heads:
                before, after = f"module.heads.{old_heads.index(head)}.", f"module.heads.{index}."
                for name in (n for n in new if n.startswith(after)):
                    new[name].copy_(given[before + name.removeprefix(after)])

    return copy


def _copier_of_rows(old_targets: Sequence[str], rows: int) -> Copier:
    """Heads that are consecutive rows of one layer."""

    def copy(new: dict[str, Tensor], given: dict[str, Tensor], targets: Sequence[str]) -> None:
        for index, target in enumerate(targets):
            if target in old_targets:
                start = rows * old_targets.index(target)
                for name in (n for n in new if n.startswith("head.")):
                    part = given[name][start : start + rows]
                    new[name][rows * index : rows * (index + 1)].copy_(part)

    return copy

"""What a run that starts from another model does otherwise: targets, units, rates, frozen parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.data.normalization import TargetNormalizer
from isl.inference.model import Model
from isl.inference.model_card import ModelCard
from isl.io.roles import Roles
from isl.models.labeling import LabelingNetwork
from isl.training.transfer.restore import Part, Restored


def transfer_targets(old: Model | None, roles: Roles, config: TrainConfig) -> Roles:
    """Targets of a run: those of the data, then those that only the model to start from knows.

    Parameters
    ----------
    old
        The model to start from; None for none.
    roles
        Channels of the data. A target that the model has too, by name, is one target.
    config
        The others are kept where ``keep_targets`` and ``restore_heads`` ask for it.

    Raises
    ------
    ConfigError
        Where the source of the data has the name of a target of the model.
    """
    if old is None or not (config.keep_targets and config.restore_heads):
        return roles
    more = tuple(name for name in old.card.target_names if name not in roles.targets)
    if roles.source in more:
        raise ConfigError(
            f"the source '{roles.source}' is a target of the model to start from; name another "
            "source with --source, or give up that model's targets with --no-keep-targets"
        )
    if not more:
        return roles
    reason = f"{roles.reason}; {', '.join(more)} kept from the model to start from"
    return replace(roles, targets=(*roles.targets, *more), reason=reason)


def kept_units(
    names: Sequence[str], old: Model | None, config: TrainConfig
) -> dict[str, TargetNormalizer]:
    """Units of the targets whose heads are taken over, so that the heads go on to mean the same.

    Parameters
    ----------
    names
        Names of the targets.
    old
        The model to start from; None for none.
    config
        Heads are taken over where ``restore_heads`` asks for it.
    """
    if old is None or not config.restore_heads:
        return {}
    cards = (card for card in old.card.targets if card.name in names)
    return {card.name: TargetNormalizer(card.offset, card.scale) for card in cards}


def inherit(card: ModelCard, old: Model | None) -> ModelCard:
    """Card that also says what is known from the model that the run started from.

    Targets that were not seen, or lack a colour, get what the old model knew of them, and the
    fields that it was trained on count as seen.

    Parameters
    ----------
    card
        Of the model that was trained.
    old
        The model it started from; None for none.
    """
    if old is None:
        return card
    before = {target.name: target for target in old.card.targets}
    targets = tuple(
        target.model_copy(
            update={
                "color": target.color or before[target.name].color,
                "window": target.window or before[target.name].window,
                "projection": (target if target.window else before[target.name]).projection,
            }
        )
        if target.name in before
        else target
        for target in card.targets
    )
    seen = {(field.name, field.path) for field in card.trained_on}
    more = (f for f in old.card.trained_on if (f.name, f.path) not in seen)
    trained_on = (*card.trained_on, *more)
    return card.model_copy(update={"targets": targets, "trained_on": trained_on})


def freeze(network: LabelingNetwork, config: TrainConfig, restored: Restored | None) -> None:
    """Let the parts that are to stay as they are take no gradient.

    Heads that share a tensor with new ones are held by `build_optimizer` instead.

    Parameters
    ----------
    network
        The network after its weights were restored; changed in place.
    config
        ``freeze`` names the parts.
    restored
        What was taken over; None where the run starts from random weights.

    Raises
    ------
    ConfigError
        Where there is nothing to freeze, or nothing is left to learn.
    """
    if not config.freeze:
        return
    if restored is None:
        raise ConfigError("freeze is for runs that start from a model; give one with --from")
    _check_restored(config.freeze, restored)
    for name, parameter in network.named_parameters():
        if restored.tensors.get(name) in config.freeze:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError(
            f"freeze {', '.join(config.freeze)} leaves nothing to learn, as there is no new target "
            "and no new first layer; freeze less"
        )


def _check_restored(parts: Sequence[Part], restored: Restored) -> None:
    """Refuse to freeze what starts from random weights."""
    if "inputs" in parts and not restored.inputs:
        raise ConfigError(
            "freeze inputs: the first layer starts anew here (restore_inputs is off, or the number "
            "of planes that the network sees differs); leave inputs out of --freeze"
        )
    if "heads" in parts and not restored.heads:
        raise ConfigError(
            "freeze heads: no head is taken over from the model to start from, as it has no target "
            "of this run or restore_heads is off; leave heads out of --freeze"
        )


def hold_still(network: LabelingNetwork) -> None:
    """Put frozen layers into the mode of inference, so that running statistics do not move.

    To be called before each training step, as putting a network into training mode undoes it.
    """
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()


def parameter_groups(
    network: LabelingNetwork, config: TrainConfig, restored: Restored | None
) -> list[dict[str, Any]]:
    """Groups for AdamW: decayed or not, and new or taken over from another model.

    Parameters
    ----------
    network
        Parameters that take no gradient are left out.
    config
        ``weight_decay`` and ``shared_learning_rate``.
    restored
        What was taken over; None for nothing.

    Returns
    -------
    list of dict
        With the key ``share``, the share of the learning rate that the group gets. Biases and
        norms are not decayed.
    """
    taken = {} if restored is None else restored.tensors
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name in taken, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": config.weight_decay if is_decayed else 0.0,
            "share": config.shared_learning_rate if is_taken else 1.0,
        }
        for (is_taken, is_decayed), parameters in sorted(groups.items(), key=lambda each: each[0])
    ]


def build_optimizer(
    network: LabelingNetwork, config: TrainConfig, restored: Restored | None = None
) -> AdamW:
    """AdamW with the groups of `parameter_groups`, which also holds heads that share a tensor.

    Rows of such a tensor that were taken over move by ``shared_learning_rate`` of each step, or
    not at all where heads are frozen: momentum and weight decay would move them otherwise.
    """
    decays = (0.9, config.second_moment_decay)
    groups = parameter_groups(network, config, restored)
    optimizer = AdamW(groups, lr=config.learning_rate, betas=decays)
    share = 0.0 if "heads" in config.freeze else config.shared_learning_rate
    if restored is not None and restored.rows and share < 1.0:
        _hold_rows(optimizer, network, restored, share)
    return optimizer


def _hold_rows(
    optimizer: Optimizer, network: LabelingNetwork, restored: Restored, share: float
) -> None:
    parameters = dict(network.named_parameters())
    held = [(parameters[name], rows) for name, each in restored.rows.items() for rows in each]
    before: list[Tensor] = []

    def remember(*_: Any) -> None:
        before[:] = [tensor.detach()[rows].clone() for tensor, rows in held]

    def take_back(*_: Any) -> None:
        with torch.no_grad():
            for (tensor, rows), start in zip(held, before, strict=True):
                tensor[rows] = torch.lerp(start, tensor[rows], share)

    optimizer.register_step_pre_hook(remember)
    optimizer.register_step_post_hook(take_back)

"""A training run from fields of view to a model file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import ValidationError

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.core.networks import AnyNetwork, Isl2018Config
from isl.core.progress import ProgressCallback, silent
from isl.data.patches import PatchSampler
from isl.data.published_augmentation import build_augmentation
from isl.data.samples import (
    ArrayCache,
    OnBad,
    Sample,
    load_samples,
    normalize_targets,
)
from isl.data.splits import Split, split_fovs
from isl.inference.model import Model
from isl.inference.model_file import load_model, save_model
from isl.io.fov import Fov
from isl.io.roles import Roles
from isl.models.build import build_labeling_network
from isl.training.budget import Budget
from isl.training.card import make_card
from isl.training.fields import check_weights, choose_fields, common_voxel_size
from isl.training.heldout import heldout_batches
from isl.training.module import LabelingModule
from isl.training.plan import TrainingPlan, make_plan
from isl.training.restore import restore_weights
from isl.training.run_folder import RunFolder, check_output, kept_if_of_use, prepare_folder
from isl.training.trainer import build_trainer, fit


def train(
    fovs: Sequence[Fov],
    config: TrainConfig,
    output: Path | str,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    announce: Callable[[TrainingPlan], None] | None = None,
    on_bad: OnBad | None = None,
) -> Model:
    """Train a model and write it to a file.

    Parameters
    ----------
    fovs
        Fields of view with source and targets; a field may lack some of the targets.
    config
        Settings.
    output
        The model file to write; checkpoints, logs and previews go to a folder beside it.
    resume
        Go on from the last checkpoint of an interrupted run with the same settings.
    overwrite
        Replace an existing model file and run folder.
    progress
        Called after each step.
    announce
        Called with the plan before the first step.
    on_bad
        Called with name and error of a field that cannot be used; without it the error is raised.

    Returns
    -------
    Model
        The trained model, as it is in the file.

    Raises
    ------
    ConfigError, ChannelError, DataError, OutputError
        Before any work, where settings, images or output do not allow it.
    """
    output = Path(output)
    folder = RunFolder.of(output)
    check_output(output, folder, resume, overwrite)
    old = None if config.start_from is None else load_model(config.start_from)
    config = _with_network_of(old, config)
    usable, roles = choose_fields(fovs, config, on_bad)
    with ArrayCache(config.cache_gb * 1e9) as cache:
        check_weights(config, roles.targets)
        samples, split = _load(usable, roles, config, cache, progress, on_bad)
        samples, normalizers = normalize_targets(samples, roles.targets, config.normalization)
        module = _build_module(samples, roles, config)
        start = _start(module, old, roles, config)
        trainer = build_trainer(module, config, folder, roles.targets, progress)
        with kept_if_of_use(folder):
            prepare_folder(folder, config, resume)
            if announce is not None:
                announce(make_plan(module, samples, roles, split, folder.path, start))
            fit(trainer, module, folder, resume)
            voxel_size = common_voxel_size(usable)
            card = make_card(usable, samples, roles, split, normalizers, voxel_size, module, config)
            model = Model(card, module.network.eval())
            save_model(model, output, overwrite=overwrite or resume)
    return model


def _with_network_of(old: Model | None, config: TrainConfig) -> TrainConfig:
    """Settings with the network of the model to start from, where they name none."""
    if old is None or "network" in config.model_fields_set:
        return config
    given = config.model_dump(exclude_unset=True)
    try:
        return TrainConfig.model_validate(given | {"network": old.card.network.model_dump()})
    except ValidationError as error:
        reasons = "; ".join(str(e["msg"]).removeprefix("Value error, ") for e in error.errors())
        raise ConfigError(f"with the network of {config.start_from}: {reasons}") from error


def _start(module: LabelingModule, old: Model | None, roles: Roles, config: TrainConfig) -> str:
    """Take over the weights to start from, and say which; empty where none are."""
    if old is None:
        return ""
    restored = restore_weights(
        module.network,
        roles.targets,
        old,
        inputs=config.restore_inputs,
        heads=config.restore_heads,
    )
    return f"{config.start_from}: {restored}"


def _load(
    fovs: Sequence[Fov],
    roles: Roles,
    config: TrainConfig,
    cache: ArrayCache,
    progress: ProgressCallback,
    on_bad: OnBad | None,
) -> tuple[tuple[Sample, ...], Split]:
    """Split the fields and read them; where some are bad, a guessed split is that of the rest."""
    split = split_fovs(fovs, config.holdout, config.holdout_margin_px)
    samples = load_samples(
        fovs,
        roles,
        split,
        config.target_projection,
        cache,
        recipe=config.normalization,
        progress=progress,
        on_bad=on_bad if len(fovs) > 1 else None,
    )
    good = [fov for fov in fovs if fov.name in {sample.fov for sample in samples}]
    if config.holdout is None and len(good) < len(fovs):
        split = split_fovs(good, None, config.holdout_margin_px)
        parts = [split.fields[sample.fov] for sample in samples]
        samples = tuple(
            replace(sample, train=part.train, heldout=part.heldout)
            for sample, part in zip(samples, parts, strict=True)
        )
    return samples, split


def _build_module(samples: Sequence[Sample], roles: Roles, config: TrainConfig) -> LabelingModule:
    torch.manual_seed(config.seed)
    network = build_labeling_network(_fitting(config, samples), roles.targets)
    augmentation = build_augmentation(config)
    datasets = tuple(dict.fromkeys(sample.dataset for sample in samples))
    sampler = PatchSampler(
        samples,
        patch_px=augmentation.read_px,
        batch_size=augmentation.draws,
        content_share=config.content_share,
        seed=config.seed,
        dataset_weights=dict(zip(datasets, config.weights_of_datasets(datasets), strict=True)),
        target_balance=config.target_balance,
    )
    if not sampler.pixels:
        raise ConfigError("no target was acquired in the training part; hold out less")
    heldout = heldout_batches(samples, network)
    budget = Budget.of(config, sampler.pixels)
    return LabelingModule(network, config, budget, sampler, tuple(heldout), roles.targets)


def _fitting(config: TrainConfig, samples: Sequence[Sample]) -> AnyNetwork:
    """The network without depths that no stack has; as it was where it is taken over."""
    network = config.network
    if isinstance(network, Isl2018Config) or config.start_from is not None:
        return network
    slots = min(network.z_slots, max(sample.planes for sample in samples))
    return network.model_copy(update={"z_slots": slots})

"""A training run from fields of view to a model file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from pydantic import ValidationError

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.core.networks import AnyNetwork, Isl2018Config
from isl.core.progress import ProgressCallback, silent
from isl.data.patches import PatchSampler
from isl.data.published_augmentation import build_augmentation
from isl.data.samples import ArrayCache, OnBad, Sample
from isl.inference.model import Model
from isl.inference.model_file import load_model, save_model
from isl.io.fov import Fov
from isl.io.roles import Roles
from isl.models.build import build_labeling_network
from isl.training.budget import Budget
from isl.training.card import make_card
from isl.training.heldout import heldout_boxes
from isl.training.module import LabelingModule
from isl.training.plan import TrainingPlan, make_plan
from isl.training.prepare import TrainingData, prepare
from isl.training.processes.distributed import is_first_process
from isl.training.run_folder import RunFolder, check_output, kept_if_of_use, prepare_folder
from isl.training.trainer import build_trainer, fit
from isl.training.transfer.carry_over import freeze, inherit
from isl.training.transfer.report import transfer_report
from isl.training.transfer.restore import restore_weights
from isl.training.transfer.retention import Memory


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
    first = is_first_process(config)  # of several devices; it alone reports and writes
    if first:
        check_output(output, folder, resume, overwrite)
    old = None if config.start_from is None else load_model(config.start_from)
    config = _with_network_of(old, config)
    with ArrayCache(config.cache_gb * 1e9) as cache:
        data = prepare(fovs, config, old, cache, progress=progress, on_bad=on_bad)
        config = _with_crops_that_fit(config, data.samples)
        module = _build_module(data, config)
        start = _start(module, old, data.roles, config)
        trainer = build_trainer(
            module, config, folder, data.roles.targets, progress if first else silent
        )
        with kept_if_of_use(folder) if first else nullcontext():
            if first:
                prepare_folder(folder, config, resume)
            if first and announce is not None:
                announce(make_plan(module, data, folder.path, start))
            fit(trainer, module, folder, resume)
            card = inherit(make_card(data, module, config), old)
            model = Model(card, module.network.eval())
            if first and old is not None:
                report = transfer_report(old, model, data.samples, data.roles)
                report.write(folder.transfer)
            if first:
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
        freeze(module.network, config, None)
        return ""
    restored = restore_weights(
        module.network,
        roles.targets,
        old,
        inputs=config.restore_inputs,
        heads=config.restore_heads,
    )
    freeze(module.network, config, restored)
    module.restored = restored
    if config.retain_weight and restored.heads:
        module.memory = Memory(old, roles.targets, restored.heads, config.retain_weight)
    return f"{config.start_from}: {restored}"


def _build_module(data: TrainingData, config: TrainConfig) -> LabelingModule:
    samples, targets = data.samples, data.roles.targets
    torch.manual_seed(config.seed)
    network = build_labeling_network(_fitting(config, samples), targets)
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
    heldout = heldout_boxes(samples, network)
    budget = Budget.of(config, sampler.pixels)
    return LabelingModule(network, config, budget, sampler, tuple(heldout), targets)


def _with_crops_that_fit(config: TrainConfig, samples: Sequence[Sample]) -> TrainConfig:
    """Settings whose crops are not larger than the smallest area they are drawn from.

    The rest of a larger one would be empty, and some of its patches nothing but that.
    """
    sides = [side for sample in samples for box in sample.train for side in box.shape]
    if config.crop_px is None or not sides or min(sides) >= config.crop_px:
        return config
    return config.model_copy(update={"crop_px": max(config.patch_px, min(sides))})


def _fitting(config: TrainConfig, samples: Sequence[Sample]) -> AnyNetwork:
    """The network without depths that no stack has; as it was where it is taken over."""
    network = config.network
    if isinstance(network, Isl2018Config) or config.start_from is not None:
        return network
    slots = min(network.z_slots, max(sample.planes for sample in samples))
    return network.model_copy(update={"z_slots": slots})

"""A training run from fields of view to a model file."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from isl.core.axes import VoxelSize
from isl.core.config import TrainConfig
from isl.core.errors import ChannelError, ConfigError, OutputError, VoxelSizeError
from isl.core.progress import ProgressCallback, silent
from isl.data.augmentation import Augmentation
from isl.data.normalization import TargetNormalizer
from isl.data.patches import PatchSampler
from isl.data.samples import ArrayCache, OnBad, Sample, load_samples, measure_targets
from isl.data.splits import split_fovs
from isl.inference.model import Model
from isl.inference.model_file import save_model
from isl.io.fov import Fov
from isl.io.roles import Roles, choose_roles
from isl.models.network import build_network
from isl.training.budget import Budget
from isl.training.callbacks import Previews, ReportProgress, StopOnSignal, moving_average
from isl.training.card import make_card
from isl.training.heldout import heldout_batches
from isl.training.module import LabelingModule
from isl.training.plan import TrainingPlan, make_plan

MOST_VOXEL_SIZE_DIFFERENCE = 0.2


@dataclass(frozen=True)
class RunFolder:
    """Files beside a model: checkpoints, logs, previews and the resolved settings."""

    path: Path

    @classmethod
    def of(cls, output: Path) -> RunFolder:
        """Folder that belongs to a model file: ``model.run`` beside ``model.isl``."""
        return cls(output.with_suffix(".run"))

    @property
    def checkpoint(self) -> Path:
        """File that a run resumes from."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def settings(self) -> Path:
        """Resolved settings."""
        return self.path / "settings.yaml"

    @property
    def previews(self) -> Path:
        """Folder of preview panels."""
        return self.path / "previews"


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
    _check_output(output, folder, resume, overwrite)
    roles = choose_roles(fovs, config.source, config.targets)
    if not roles.targets:
        raise ChannelError("there is no target to learn; name fluorescence channels with --targets")
    voxel_size = _common_voxel_size(fovs)
    split = split_fovs(fovs, config.holdout, config.holdout_margin_px)
    with ArrayCache(config.cache_gb * 1e9) as cache:
        samples = load_samples(
            fovs, roles, split, config.target_projection, cache, progress=progress, on_bad=on_bad
        )
        normalizers = measure_targets(samples, roles.targets)
        module = _build_module(samples, normalizers, roles, config)
        _prepare_folder(folder, config, resume)
        if announce is not None:
            announce(make_plan(module, samples, roles, split, folder.path))
        _fit(module, config, folder, roles.targets, resume, progress)
        card = make_card(fovs, samples, roles, split, normalizers, voxel_size, module, config)
    model = Model(card, module.network.eval())
    save_model(model, output, overwrite=overwrite or resume)
    return model


def _check_output(output: Path, folder: RunFolder, resume: bool, overwrite: bool) -> None:
    """Refuse, before any work, what would fail or destroy something at the end."""
    if output.suffix != ".isl":
        raise OutputError(f"{output}: a model file is named something.isl; change --output")
    if not output.absolute().parent.is_dir():
        raise OutputError(
            f"{output}: the folder {output.absolute().parent} does not exist; make it"
        )
    if resume and not folder.checkpoint.is_file():
        raise OutputError(f"{folder.checkpoint}: nothing to resume; train without --resume")
    if not resume and not overwrite:
        for path in (output, folder.path):
            if path.exists():
                raise OutputError(
                    f"{path} exists; go on with --resume or replace it with --overwrite"
                )


def _common_voxel_size(fovs: Sequence[Fov]) -> VoxelSize:
    """Voxel size of the first field that has one; the others must agree."""
    known = [f for f in fovs if f.voxel_size.y]
    for fov in known[1:]:
        if known[0].voxel_size.relative_difference(fov.voxel_size) > MOST_VOXEL_SIZE_DIFFERENCE:
            raise VoxelSizeError(
                f"{fov.path}: field {fov.name} has voxels of {fov.voxel_size} but {known[0].name} "
                f"has {known[0].voxel_size}; resample one of them, or train two models"
            )
    return known[0].voxel_size if known else VoxelSize()


def _build_module(
    samples: Sequence[Sample],
    normalizers: Sequence[TargetNormalizer],
    roles: Roles,
    config: TrainConfig,
) -> LabelingModule:
    torch.manual_seed(config.seed)
    slots = min(config.network.z_slots, max(sample.planes for sample in samples))
    network = build_network(
        config.network.model_copy(update={"z_slots": slots}), len(roles.targets)
    )
    sampler = PatchSampler(
        samples,
        normalizers,
        patch_px=Augmentation(config).read_px,
        batch_size=config.batch_size,
        content_share=config.content_share,
        seed=config.seed,
    )
    if not sampler.pixels:
        raise ConfigError("no target was acquired in the training part; hold out less")
    heldout = heldout_batches(samples, normalizers, network.margin_px, network.stride)
    budget = Budget.of(config, sampler.pixels)
    return LabelingModule(network, config, budget, sampler, tuple(heldout), roles.targets)


def _prepare_folder(folder: RunFolder, config: TrainConfig, resume: bool) -> None:
    """Start a new run folder, or check that an old one was made with the same settings."""
    settings = config.model_dump(mode="json")
    if resume:
        before = yaml.safe_load(folder.settings.read_text())
        changed = sorted(k for k in settings if settings[k] != before.get(k) and not _may_change(k))
        if changed:
            raise ConfigError(
                f"{folder.settings}: the run was started with other settings: "
                + ", ".join(f"{k} {before.get(k)} (now {settings[k]})" for k in changed)
                + "; resume with the same ones, or start anew with --overwrite"
            )
    elif folder.path.exists():
        shutil.rmtree(folder.path)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.settings.write_text(yaml.safe_dump(settings, sort_keys=False))


def _may_change(setting: str) -> bool:
    """Whether a resumed run may differ in this setting."""
    return setting.startswith(("max_", "validate_")) or setting in ("cache_gb", "accelerator")


def _fit(
    module: LabelingModule,
    config: TrainConfig,
    folder: RunFolder,
    target_names: tuple[str, ...],
    resume: bool,
    progress: ProgressCallback,
) -> None:
    """Run Lightning, and end with the averaged weights and their held-out scores."""
    by_time = module.budget.steps is None
    every_minutes = timedelta(minutes=config.validate_minutes)
    with _quiet_lightning():
        trainer = L.Trainer(
            default_root_dir=folder.path,
            accelerator=config.accelerator,
            devices=config.devices,
            precision=config.precision,
            max_epochs=-1,
            max_steps=-1 if by_time else module.budget.steps or -1,
            val_check_interval=every_minutes if by_time else config.validate_steps,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            gradient_clip_val=1.0,
            log_every_n_steps=10,
            enable_progress_bar=False,
            enable_model_summary=False,
            logger=[TensorBoardLogger(folder.path, "tensorboard"), CSVLogger(folder.path, "csv")],
            callbacks=[
                moving_average(config.average_decay),
                Previews(folder.previews, target_names),
                ReportProgress(progress),
                ModelCheckpoint(
                    folder.checkpoint.parent,
                    filename=folder.checkpoint.stem,
                    enable_version_counter=False,
                    train_time_interval=every_minutes if by_time else None,
                    every_n_train_steps=None if by_time else config.validate_steps,
                ),
                StopOnSignal(folder.checkpoint),
            ],
        )
        try:
            trainer.fit(module, ckpt_path=folder.checkpoint if resume else None)
        except SystemExit as exit_:
            # Lightning turns an interruption into an exit; the caller decides what that means.
            raise exit_.__context__ or exit_ from None
        trainer.validate(module, verbose=False)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advice off the screen: the run prints its own plan."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

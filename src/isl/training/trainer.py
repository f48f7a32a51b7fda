"""Lightning, set up for this package."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.core.progress import ProgressCallback
from isl.training.callbacks import Previews, ReportProgress, StopOnSignal, moving_average
from isl.training.checkpoint import WholeCheckpoint
from isl.training.module import LabelingModule
from isl.training.run_folder import RunFolder, explained

logger = logging.getLogger(__name__)


def build_trainer(
    module: LabelingModule,
    config: TrainConfig,
    folder: RunFolder,
    target_names: tuple[str, ...],
    progress: ProgressCallback,
) -> L.Trainer:
    """Set Lightning up; nothing is written yet."""
    by_time = module.budget.steps is None
    every_minutes = timedelta(minutes=config.validate_minutes)
    with _quiet_lightning(), _checked_devices(config):
        return L.Trainer(
            default_root_dir=folder.path,
            accelerator=config.accelerator,
            devices=config.devices,
            precision=config.precision,
            max_epochs=-1,
            max_steps=-1 if by_time else module.budget.steps or -1,
            val_check_interval=every_minutes if by_time else config.validate_steps,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            gradient_clip_val=config.gradient_clip or None,
            log_every_n_steps=10,
            enable_progress_bar=False,
            enable_model_summary=False,
            logger=[TensorBoardLogger(folder.path, "tensorboard"), CSVLogger(folder.path, "csv")],
            plugins=[WholeCheckpoint()],
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


@contextmanager
def _checked_devices(config: TrainConfig) -> Iterator[None]:
    """Say which setting asks for hardware that is not there, or that cannot be used."""
    if config.devices > 1:
        # Lightning would start this program again for each device, all with the same patches.
        raise ConfigError(
            f"devices {config.devices}: a run uses one device; leave out --devices, and start one "
            "run for each device where there are several models to train"
        )
    try:
        yield
    except (MisconfigurationException, ValueError, ImportError) as error:
        raise ConfigError(
            f"accelerator {config.accelerator}, devices {config.devices}, precision "
            f"{config.precision} cannot be used here: {error}; try --accelerator auto"
        ) from error


def fit(trainer: L.Trainer, module: LabelingModule, folder: RunFolder, resume: bool) -> None:
    """Run Lightning, and end with the averaged weights and their held-out scores."""
    with _quiet_lightning(), explained(folder):
        try:
            trainer.fit(module, ckpt_path=folder.checkpoint if resume else None)
        except SystemExit as exit_:
            # Lightning turns an interruption into an exit; the caller decides what that means.
            raise exit_.__context__ or exit_ from None
        trainer.validate(module, verbose=False)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advice, and tracebacks of log writers, off the screen."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [each.level for each in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        for each in loggers:
            each.setLevel(logging.ERROR)
        hook, threading.excepthook = threading.excepthook, _note_in_log
        try:
            yield
        finally:
            threading.excepthook = hook
            for each, level in zip(loggers, levels, strict=True):
                each.setLevel(level)


def _note_in_log(failed: threading.ExceptHookArgs) -> None:
    """Log what ended a thread; TensorBoard raises it again in the thread that trains."""
    logger.info("%s ended by %s", failed.thread, failed.exc_value)

"""Lightning, set up for this package."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy, Strategy

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError, IslError
from isl.core.progress import ProgressCallback
from isl.data.published_augmentation import build_augmentation
from isl.training.callbacks import (
    NEVER,
    Previews,
    ReportProgress,
    StopOnSignal,
    ValidateOnTime,
    moving_average,
)
from isl.training.checkpoint import WholeCheckpoint
from isl.training.module import LabelingModule
from isl.training.processes.distributed import check_division, is_connection_error
from isl.training.processes.sync_batch_norm import share_batch_norm, unshare_batch_norm
from isl.training.run_folder import RunFolder, explained

logger = logging.getLogger(__name__)

MOST_WAITING = 0.05
"""Share of the time of steps that they may wait for data before it is worth a word."""


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
            num_nodes=config.nodes,
            strategy=_strategy(config),
            use_distributed_sampler=False,
            precision=config.precision,
            max_epochs=-1,
            max_steps=-1 if by_time else module.budget.steps or -1,
            val_check_interval=NEVER if by_time else config.validate_steps,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            gradient_clip_val=config.gradient_clip or None,
            log_every_n_steps=10,
            enable_progress_bar=False,
            enable_model_summary=False,
            logger=[TensorBoardLogger(folder.path, "tensorboard"), CSVLogger(folder.path, "csv")],
            plugins=[WholeCheckpoint()],
            callbacks=[
                ValidateOnTime(config.validate_minutes if by_time else None),
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
    check_division(config, build_augmentation(config).patches_per_draw)
    try:
        yield
    except (MisconfigurationException, ValueError, ImportError) as error:
        raise ConfigError(
            f"accelerator {config.accelerator}, devices {config.devices}, nodes {config.nodes}, "
            f"precision {config.precision} cannot be used here: {error}; try --accelerator auto"
        ) from error


def _strategy(config: TrainConfig) -> Strategy | str:
    """How several devices work together; every process has the same buffers already."""
    if config.devices * config.nodes == 1:
        return "auto"
    return DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)


def fit(trainer: L.Trainer, module: LabelingModule, folder: RunFolder, resume: bool) -> None:
    """Run Lightning, and end with the averaged weights and their held-out scores.

    Where several devices train, Lightning starts the program again for each of them, and all of
    them come here.
    """
    with _quiet_lightning(), explained(folder), _batch_norm_of_all(trainer, module):
        try:
            if not (resume and module.finish_from(_read_checkpoint(folder))):
                trainer.fit(module, ckpt_path=folder.checkpoint if resume else None)
        except SystemExit as exit_:
            # Lightning turns an interruption into an exit; the caller decides what that means.
            raise exit_.__context__ or exit_ from None
        except RuntimeError as error:
            if is_connection_error(error):
                raise _lost(error, folder) from error
            raise
        finally:
            module.close()
        _note_waiting(trainer, module)
        trainer.validate(module, verbose=False)


def _note_waiting(trainer: L.Trainer, module: LabelingModule) -> None:
    """Say what to do where the steps of a run waited long for data."""
    logger.info("steps waited for data %.1f %% of the time", 100 * module.wait_share)
    if module.wait_share > MOST_WAITING and trainer.is_global_zero and module.seconds > 60.0:
        logger.warning(
            "training steps waited for data %.0f %% of the time; more --loader-threads (now %d) or "
            "--cache-gb (now %g) may help",
            100 * module.wait_share,
            module.config.loader_threads,
            module.config.cache_gb,
        )


def _lost(error: RuntimeError, folder: RunFolder) -> IslError:
    hint = "go on with --resume" if folder.checkpoint.is_file() else "start again"
    return IslError(
        f"another process of this run ended, see what it says above or in its log, then {hint} "
        f"({str(error).splitlines()[0]})"
    )


def _read_checkpoint(folder: RunFolder) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder.checkpoint, "cpu", weights_only=False)
    return found


@contextmanager
def _batch_norm_of_all(trainer: L.Trainer, module: LabelingModule) -> Iterator[None]:
    """Let batch norm see the whole batch that several processes share."""
    if trainer.world_size > 1:
        share_batch_norm(module.network)
    try:
        yield
    finally:
        unshare_batch_norm(module.network)


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

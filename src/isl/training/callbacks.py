"""What happens beside the training steps: averaging, previews, progress, orderly interruption."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch import Tensor

from isl.core.axes import Box
from isl.core.errors import ConfigError
from isl.core.progress import Progress, ProgressCallback
from isl.data.patches import Batch
from isl.evaluation.panels import PanelRow, write_panel
from isl.models.distribution import Distribution
from isl.training.module import LabelingModule
from isl.training.processes.distributed import largest

PREVIEW_PX = 320
NEVER = 1_000_000_000
"""More steps than any run has."""


def moving_average(decay: float) -> WeightAveraging:
    """Keep a moving average of the weights, which held-out scores and the final model use.

    Parameters
    ----------
    decay
        Share of the average that stays at each step; less in the first steps, so that the random
        start is soon forgotten.
    """

    def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        kept = min(decay, (1.0 + float(count)) / (4.0 + float(count)))
        return averaged + (1.0 - kept) * (current - averaged)  # exact where nothing has changed

    return WeightAveraging(avg_fn=average)


class ValidateOnTime(Callback):
    """Validate every so many minutes, in all processes after the same step; belongs first.

    Parameters
    ----------
    minutes
        Time between the end of a validation and the next; None where steps decide.
    """

    def __init__(self, minutes: float | None) -> None:
        self._minutes = minutes
        self._since = 0.0
        self._validated = True

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Agree on the time, and validate after this step where it is due."""
        assert isinstance(pl_module, LabelingModule)
        if self._minutes is None:
            return
        pl_module.agree_on_time()
        if self._validated:
            self._since = pl_module.agreed_seconds
        self._validated = pl_module.agreed_seconds - self._since >= 60.0 * self._minutes
        trainer.val_check_batch = 1 if self._validated else NEVER


class Previews(Callback):
    """Write a panel of the first held-out box at each validation.

    Parameters
    ----------
    folder
        Where ``step_000100.png`` and so on go.
    target_names
        One row each.
    """

    def __init__(self, folder: Path, target_names: tuple[str, ...]) -> None:
        self._folder = folder
        self._target_names = target_names

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the panel of the first box."""
        if batch_idx or not batch.presence.any() or not trainer.is_global_zero:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        rows = preview_rows(batch, outputs["prediction"], self._target_names)
        step = trainer.global_step
        write_panel(self._folder / f"step_{step:06d}.png", rows, title=f"held out, step {step}")


def preview_rows(
    batch: Batch, prediction: Distribution, target_names: tuple[str, ...]
) -> list[PanelRow]:
    """One panel row a target: the middle of the acquired pixels of a batch's first patch."""
    presence = batch.presence[0].any(0)
    rows, columns = (torch.nonzero(presence.any(dim))[:, 0] for dim in (1, 0))
    y, x = (int(n.float().mean()) for n in (rows, columns))
    half = PREVIEW_PX // 2
    inside = Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
    crop = Box(y - half, y + half, x - half, x + half).intersect(inside).slices
    lost = (batch.source.shape[-1] - batch.target.shape[-1]) // 2
    middle = batch.source[0, batch.source.shape[1] // 2][lost:, lost:]
    source = middle[crop].cpu().numpy()
    return [
        PanelRow(
            name,
            source,
            prediction.median[0, index][crop].cpu().numpy(),
            batch.target[0, index][crop].cpu().numpy() if batch.presence[0, index].any() else None,
        )
        for index, name in enumerate(target_names)
    ]


class ReportProgress(Callback):
    """Report each step, and stop a run that diverges.

    Parameters
    ----------
    progress
        Called with the share of the budget that is done.
    """

    def __init__(self, progress: ProgressCallback) -> None:
        self._progress = progress

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Report one step."""
        assert isinstance(pl_module, LabelingModule)
        loss = float(pl_module.loss)
        if loss != loss:
            raise ConfigError(
                f"the loss is not a number at step {trainer.global_step}; lower the learning rate "
                f"(--learning-rate, now {pl_module.config.learning_rate:g})"
            )
        values = (
            ("loss", loss),
            *((f"r {n}", r) for n, r in pl_module.scores.items() if r == r),
            ("waiting for data", pl_module.wait_share),
        )
        message = f"training, step {trainer.global_step}"
        self._progress(Progress(pl_module.fraction, 1.0, "budget", message, values))


class StopOnSignal(Callback):
    """Let the running step finish on SIGINT or SIGTERM, save a checkpoint, then pass the signal on.

    A signal to one of several processes ends all of them after the same step.

    Parameters
    ----------
    checkpoint
        File that a later run resumes from.
    """

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint
        self._received: signal.Signals | None = None
        self._active = threading.current_thread() is threading.main_thread()
        signals = (signal.SIGINT, signal.SIGTERM) if self._active else ()
        self._original = {number: signal.getsignal(number) for number in signals}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the signals over."""
        for number in self._original:
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None:
            self._pass_on(self._received, frame)
        self._received = signal.Signals(number)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Save and stop where a signal came in during the step."""
        received = largest(self._received or 0, pl_module.device)
        if received:
            trainer.save_checkpoint(self._checkpoint)
            self._pass_on(signal.Signals(received), None)

    def _pass_on(self, number: signal.Signals, frame: FrameType | None) -> None:
        """Give the signals back, and handle this one as if it had never been taken over."""
        for each, handler in self._original.items():
            signal.signal(each, handler)
        handler = self._original[number]
        if callable(handler):
            handler(number, frame)
        signal.raise_signal(number)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back where a run ends before its time."""
        self.on_train_end(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give the signals back."""
        for number, handler in self._original.items():
            signal.signal(number, handler)

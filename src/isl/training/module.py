"""The training step as Lightning sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from isl.core.config import TrainConfig
from isl.data.patch_random import seed_of
from isl.data.patches import Batch, PatchSampler
from isl.data.prefetch import Prefetcher, WaitShare
from isl.data.published_augmentation import build_augmentation
from isl.models.distribution import Distribution
from isl.models.labeling import LabelingNetwork
from isl.training.batch_norm import refresh_batch_norm
from isl.training.budget import Budget, learning_rate_factor
from isl.training.heldout import HeldoutBox, HeldoutScores
from isl.training.loss import batch_loss, heldout_loss, predict_batch
from isl.training.processes.distributed import (
    from_first,
    own_share,
    process_count,
    process_index,
    total,
)
from isl.training.transfer.carry_over import build_optimizer, hold_still
from isl.training.transfer.restore import Restored
from isl.training.transfer.retention import Memory


class _Steps(IterableDataset[Batch]):
    """The batches of all steps to come."""

    def __init__(self, module: LabelingModule) -> None:
        self._module = module

    def __iter__(self) -> Iterator[Batch]:
        with closing(self._module.prefetched()) as batches:
            yield from batches


class LabelingModule(L.LightningModule):
    """Network, loss and schedule.

    Every random number of a step (patches, augmentation, dropout) comes from the seed and the step
    alone, so that a resumed run goes on exactly as an undisturbed one.  Where several processes
    share each batch, patches and augmentation are those that one process would have.

    Parameters
    ----------
    network
        What is trained.
    config
        Settings.
    budget
        When the learning rate reaches zero.
    sampler
        Draws the patches.
    heldout
        Boxes of the held-out part; may be empty.
    target_names
        For the logs.
    clock
        Gives seconds, to measure how long training and its steps take.

    Attributes
    ----------
    scores
        Correlation of each target at the last validation.
    steps
        Optimiser steps done.
    agreed_seconds
        Seconds trained by the clock of the first process, at the end of the last step.
    loss
        Loss of the last step, of the whole batch.
    weights
        Weight of each target in the loss: as asked, and more for targets that few batches hold.
    restored
        What was taken over from the model to start from; None where there is none.
    memory
        What that model says of targets that were not acquired; None where it does not matter.
    """

    def __init__(
        self,
        network: LabelingNetwork,
        config: TrainConfig,
        budget: Budget,
        sampler: PatchSampler,
        heldout: Sequence[HeldoutBox],
        target_names: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._clock = clock
        self.network = network
        self.config = config
        self.budget = budget
        self.sampler = sampler
        self.scores: dict[str, float] = {}
        self.restored: Restored | None = None
        self.memory: Memory | None = None
        self.loss = torch.tensor(torch.nan)
        self.seconds_before = 0.0
        self.steps = 0
        self._heldout = list(heldout)
        self._augmentation = build_augmentation(config)
        self._target_names = tuple(target_names)
        asked = config.weights_of(self._target_names)
        self.weights = [w * r for w, r in zip(asked, sampler.target_weights, strict=True)]
        self._started = self._clock()
        self._scores = HeldoutScores(len(self._target_names))
        self._batches: Prefetcher[Batch] | None = None
        self._waiting = WaitShare()
        self._step_started = self._started
        self.agreed_seconds = 0.0

    @property
    def wait_share(self) -> float:
        """Share of the time of steps that they waited for patches, from 0 to 1."""
        return self._waiting.value

    @property
    def seconds(self) -> float:
        """Seconds trained, those before a resumption included."""
        return self.seconds_before + self._clock() - self._started

    @property
    def fraction(self) -> float:
        """Share of the budget that is used up, the same in all processes."""
        return self.budget.fraction(self.global_step, self.agreed_seconds)

    def agree_on_time(self) -> None:
        """Let all processes go by the clock of the first."""
        self.agreed_seconds = from_first(self.seconds, self.device)

    def on_train_start(self) -> None:
        """Start the clock once everything is set up."""
        self._started = self._clock()
        self.agreed_seconds = self.seconds_before

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the step and set its learning rates; a group may have a share of the rate."""
        self._step_started = self._clock()
        hold_still(self.network)
        torch.manual_seed(seed_of(self.config.seed, self.global_step, process_index()))
        factor = learning_rate_factor(
            self.global_step,
            self.fraction,
            self.config.final_learning_rate,
            self.config.warmup_steps,
        )
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.config.learning_rate * factor * group.get("share", 1.0)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch, or of this process's share times the number of processes."""
        batch = self._augmentation(batch, self.global_step, self._share.start)
        loss = batch_loss(self.network, batch, self.config, self.weights, self.memory)
        self.loss = total(loss) / process_count()
        self.log("train/loss", self.loss)
        self.log("train/wait_share", self.wait_share)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Stop when the budget is used up."""
        self.steps = self.global_step
        waited = self._batches.waited if self._batches is not None else 0.0
        self._waiting.add(waited, self._clock() - self._step_started)
        if self.fraction >= 1.0:
            self.trainer.should_stop = True

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the last time; bring batch norm up to date where asked to."""
        if self.config.batch_norm_batches:
            refresh_batch_norm(self.network, self._unseen_batches())
        self._scores = HeldoutScores(len(self._target_names))

    def _unseen_batches(self) -> Iterator[Batch]:
        """Batches as those of the steps to come."""
        for step in range(self.global_step, self.global_step + self.config.batch_norm_batches):
            batch = Batch(*(part.to(self.device) for part in self._own_batch(step)))
            yield self._augmentation(batch, step, self._share.start)

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Distribution]:
        """Score one held-out box."""
        prediction = predict_batch(self.network, batch)
        dataset = self._heldout[batch_idx].dataset
        self._scores.add(dataset, prediction.median, batch.target, batch.presence)
        loss = heldout_loss(prediction, batch.target, batch.presence, self.config)
        self.log("heldout/loss", loss, batch_size=1)
        return {"prediction": prediction}

    def on_validation_epoch_end(self) -> None:
        """Log the correlation of each target, and of each data set where there are several."""
        self.scores = dict(zip(self._target_names, self._scores.value(), strict=True))
        self.log_dict({f"heldout/r/{name}": r for name, r in self.scores.items()})
        of_datasets = self._scores.of_datasets()
        for dataset, values in of_datasets.items() if len(of_datasets) > 1 else ():
            named = zip(self._target_names, values, strict=True)
            self.log_dict({f"heldout/r/{dataset}/{name}": r for name, r in named if r == r})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW, with low rates for what was taken over where asked for."""
        return build_optimizer(self.network, self.config, self.restored)

    @property
    def _share(self) -> slice:
        """Which pieces of each batch are this process's."""
        return own_share(self._augmentation.draws)

    def _own_batch(self, step: int) -> Batch:
        batch = self.sampler.batch(step, self._share)
        if self.device.type == "cuda":  # from pinned memory the copy to the GPU does not block
            return Batch(*(part.pin_memory() for part in batch))
        return batch

    def prefetched(self) -> Prefetcher[Batch]:
        """Shares of this process in the batches from the present step on; `close` ends them."""
        self.close()
        self._batches = Prefetcher(
            self._own_batch, self.global_step, self.config.loader_threads, self._clock
        )
        return self._batches

    def close(self) -> None:
        """Let the threads end that make patches ready."""
        if self._batches is not None:
            self._batches.close()

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches from the present step on."""
        return DataLoader(_Steps(self), batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The held-out boxes."""
        return DataLoader([box.batch for box in self._heldout], batch_size=None)  # type: ignore[arg-type]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the time spent."""
        checkpoint["seconds"] = self.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the time spent."""
        self.seconds_before = float(checkpoint["seconds"])
        self.steps = int(checkpoint["global_step"])

    def finish_from(self, checkpoint: Mapping[str, Any]) -> bool:
        """Take over the averaged weights of a run whose budget is used up; False where it is not.

        Such a run ended after its last step and before its model was written.
        """
        if self.budget.fraction(checkpoint["global_step"], checkpoint["seconds"]) < 1.0:
            return False
        self.on_load_checkpoint(dict(checkpoint))
        self.load_state_dict(checkpoint["state_dict"])
        return True

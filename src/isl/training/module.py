"""The training step as Lightning sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from isl.core.config import TrainConfig
from isl.data.patches import Batch, PatchSampler
from isl.data.published_augmentation import build_augmentation
from isl.models.distribution import Distribution
from isl.models.labeling import LabelingNetwork
from isl.training.batch_norm import refresh_batch_norm
from isl.training.budget import Budget, learning_rate_factor
from isl.training.heldout import RunningPearson
from isl.training.loss import batch_loss, heldout_loss, predict_batch


class _Steps(IterableDataset[Batch]):
    """The batches of all steps to come."""

    def __init__(self, module: LabelingModule) -> None:
        self._module = module

    def __iter__(self) -> Iterator[Batch]:
        step = self._module.global_step
        while True:
            yield self._module.sampler.batch(step)
            step += 1


class LabelingModule(L.LightningModule):
    """Network, loss and schedule.

    Every random number of a step (patches, augmentation, dropout) comes from the seed and the step
    alone, so that a resumed run goes on exactly as an undisturbed one.

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
        Batches of the held-out part; may be empty.
    target_names
        For the logs.
    """

    def __init__(
        self,
        network: LabelingNetwork,
        config: TrainConfig,
        budget: Budget,
        sampler: PatchSampler,
        heldout: Sequence[Batch],
        target_names: Sequence[str],
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.budget = budget
        self.sampler = sampler
        self.scores: dict[str, float] = {}
        self.seconds_before = 0.0
        self._heldout = list(heldout)
        self._augmentation = build_augmentation(config)
        self._target_names = tuple(target_names)
        asked = config.weights_of(self._target_names)
        self.weights = [w * r for w, r in zip(asked, sampler.target_weights, strict=True)]
        self._started = time.monotonic()
        self._pearson = RunningPearson(len(self._target_names))

    @property
    def seconds(self) -> float:
        """Seconds trained, those before a resumption included."""
        return self.seconds_before + time.monotonic() - self._started

    @property
    def fraction(self) -> float:
        """Share of the budget that is used up."""
        return self.budget.fraction(self.global_step, self.seconds)

    def on_train_start(self) -> None:
        """Start the clock once everything is set up."""
        self._started = time.monotonic()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the step and set its learning rate."""
        torch.manual_seed((self.config.seed << 32) + self.global_step)
        factor = learning_rate_factor(
            self.global_step,
            self.fraction,
            self.config.final_learning_rate,
            self.config.warmup_steps,
        )
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.config.learning_rate * factor

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        batch = self._augmentation(batch, self.global_step)
        loss = batch_loss(self.network, batch, self.config, self.weights)
        self.log("train/loss", loss.detach())
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Stop when the budget is used up."""
        if self.fraction >= 1.0:
            self.trainer.should_stop = True

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the last time; bring batch norm up to date where asked to."""
        if self.config.batch_norm_batches:
            refresh_batch_norm(self.network, self._unseen_batches())
        self._pearson = RunningPearson(len(self._target_names))

    def _unseen_batches(self) -> Iterator[Batch]:
        """Batches as those of the steps to come."""
        for step in range(self.global_step, self.global_step + self.config.batch_norm_batches):
            batch = Batch(*(part.to(self.device) for part in self.sampler.batch(step)))
            yield self._augmentation(batch, step)

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Distribution]:
        """Score one held-out box."""
        prediction = predict_batch(self.network, batch)
        self._pearson.add(prediction.median, batch.target, batch.presence)
        loss = heldout_loss(prediction, batch.target, batch.presence, self.config)
        self.log("heldout/loss", loss, batch_size=1)
        return {"prediction": prediction}

    def on_validation_epoch_end(self) -> None:
        """Log the correlation of each target."""
        self.scores = dict(zip(self._target_names, self._pearson.value(), strict=True))
        self.log_dict({f"heldout/r/{name}": r for name, r in self.scores.items()})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; biases and norms are not decayed."""
        decayed = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": self.config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        decays = (0.9, self.config.second_moment_decay)
        return torch.optim.AdamW(groups, lr=self.config.learning_rate, betas=decays)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches from the present step on."""
        return DataLoader(_Steps(self), batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The held-out boxes."""
        return DataLoader(self._heldout, batch_size=None)  # type: ignore[arg-type]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the time spent."""
        checkpoint["seconds"] = self.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the time spent."""
        self.seconds_before = float(checkpoint["seconds"])

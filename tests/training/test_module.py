import time

import pytest
import torch
from lightning import Callback, Trainer

from isl.core.config import TrainConfig
from isl.core.networks import NetworkConfig
from isl.data.patches import Batch
from isl.models.build import build_labeling_network
from isl.training.budget import Budget
from isl.training.callbacks import NEVER, ReportProgress, ValidateOnTime
from isl.training.module import LabelingModule
from isl.training.trainer import _note_waiting, _quiet_lightning

SIDE = 16


class Sampler:
    """Two patches a batch, which may take their time on a clock of their own."""

    target_weights = (1.0, 4.0)

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.clock = 0.0
        self.asked = []

    def batch(self, step, slots=None):
        self.clock += self.seconds
        self.asked.append((step, slots))
        source = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(step))
        target = source[:, :2]
        return Batch(source, torch.linspace(0, 1, 3).expand(2, 3), target, target > -9)


def build(sampler, steps=6, clock=time.monotonic, **settings):
    network = NetworkConfig(widths=(4,), blocks=(1,), z_slots=3)
    config = TrainConfig(
        network=network,
        patch_px=SIDE,
        batch_size=2,
        free_rotation_degrees=0,
        scaling=0,
        target_weights=["B=0.5"],
        **settings,
    )
    built = build_labeling_network(network, ["A", "B"])
    return LabelingModule(built, config, Budget(None, steps), sampler, (), ("A", "B"), clock)


def fit(module, *callbacks, steps=6):
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        limit_val_batches=0,
    )
    with _quiet_lightning():
        try:
            trainer.fit(module)
        finally:
            module.close()
    return module


@pytest.mark.concurrent
@pytest.mark.parametrize(("seconds", "threads", "share"), [(3.0, 0, 0.75), (0.0, 2, 0.0)])
def test_a_slow_sampler_makes_steps_wait_and_a_quick_one_does_not(seconds, threads, share):
    class Step(Callback):
        def on_after_backward(self, *arguments):
            sampler.clock += 1.0

    sampler = Sampler(seconds)
    module = build(sampler, clock=lambda: sampler.clock, loader_threads=threads)
    assert module.wait_share == 0.0
    assert fit(module, Step()).wait_share == pytest.approx(share)


@pytest.mark.parametrize(("minutes", "said"), [(2.0, True), (0.1, False)])
def test_a_long_run_that_waits_says_what_may_help(caplog, minutes, said):
    module = build(Sampler(), loader_threads=3)
    module.seconds_before = 60 * minutes
    module._waiting.add(1.0, 3.0)
    _note_waiting(Trainer(accelerator="cpu", logger=False), module)
    assert ("waited for data 25 %" in caplog.text) is said
    assert ("--loader-threads (now 3)" in caplog.text) is said


@pytest.mark.concurrent
def test_threads_change_nothing_but_the_time():
    results = []
    for threads in (0, 2):
        torch.manual_seed(0)
        module = fit(build(Sampler(), loader_threads=threads))
        asked = sorted(step for step, _ in module.sampler.asked)
        assert asked[:6] == list(range(6))
        assert all(slots == slice(0, 2) for _, slots in module.sampler.asked)
        results.append([p.detach() for p in module.network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.concurrent
def test_an_error_of_the_sampler_ends_the_run():
    class Broken(Sampler):
        def batch(self, step, slots=None):
            if step == 3:
                raise OSError("the disk is gone")
            return super().batch(step, slots)

    with pytest.raises(OSError, match="disk is gone"):
        fit(build(Broken(), loader_threads=2))


def test_a_group_may_learn_at_a_share_of_the_rate():
    class Shared(LabelingModule):
        def configure_optimizers(self):
            optimizer = super().configure_optimizers()
            optimizer.param_groups[0]["share"] = 0.25
            return optimizer

    module = build(Sampler())
    module.__class__ = Shared
    fit(module, steps=2)
    slow, usual = (group["lr"] for group in module.trainer.optimizers[0].param_groups)
    assert slow == pytest.approx(0.25 * usual)


def test_weights_are_those_asked_for_times_those_of_rare_targets():
    assert list(build(Sampler()).weights) == [1.0, 2.0]


def test_progress_tells_loss_and_waiting():
    reports = []
    module = fit(build(Sampler()), ReportProgress(reports.append))
    values = dict(reports[-1].values)
    assert values["loss"] == pytest.approx(float(module.loss))
    assert 0.0 <= values["waiting for data"] <= 1.0
    assert reports[-1].done == 1.0


def test_validation_is_due_some_minutes_after_the_last_one():
    class Trainer:
        val_check_batch = NEVER

    module, trainer, due = build(Sampler()), Trainer(), []
    callback = ValidateOnTime(1.0)
    for minutes in (0.2, 0.9, 1.1, 1.3, 1.6, 2.2, 3.5, 3.6):
        module.seconds_before, module._started = 60 * minutes, time.monotonic()
        callback.on_train_batch_end(trainer, module, None, None, 0)
        due.append(trainer.val_check_batch == 1)
    # Counted from 0.2, from 1.6 (the step after the validation at 1.3) and from 3.6.
    assert due == [False, False, False, True, False, False, True, False]


def test_steps_decide_where_no_minutes_are_given():
    class Trainer:
        val_check_batch = 7

    trainer = Trainer()
    ValidateOnTime(None).on_train_batch_end(trainer, build(Sampler()), None, None, 0)
    assert trainer.val_check_batch == 7

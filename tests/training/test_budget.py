import pytest

from isl.core.config import TrainConfig
from isl.training.budget import Budget, learning_rate_factor


def test_budgets():
    assert Budget.of(TrainConfig(), 10**6) == Budget(20.0, None)
    assert Budget.of(TrainConfig(max_minutes=2), 10**6) == Budget(2.0, None)
    assert Budget.of(TrainConfig(max_steps=7), 10**6) == Budget(None, 7)
    epochs = TrainConfig(max_epochs=3, batch_size=4, patch_px=64)
    assert Budget.of(epochs, 10 * 4 * 64**2).steps == 30
    assert Budget.of(epochs, 1).steps == 1


def test_fraction_is_of_time_or_steps_and_ends_at_one():
    assert Budget(10, None).fraction(10**6, 300) == 0.5
    assert Budget(None, 10).fraction(5, 10**6) == 0.5
    assert Budget(10, None).fraction(0, 10**6) == 1 == Budget(None, 10).fraction(11, 0)
    assert [str(Budget(2.5, None)), str(Budget(None, 3))] == ["2.5 minutes", "3 steps"]


def test_learning_rate_rises_then_falls():
    assert learning_rate_factor(0, 0.0, 0.3) == pytest.approx(0.02)
    assert learning_rate_factor(49, 0.0, 0.3) == 1
    falling = [learning_rate_factor(1000, f / 10, 0.3) for f in range(11)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == pytest.approx(0.3)

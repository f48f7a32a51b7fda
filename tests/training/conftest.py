"""Lets the folders below import `training_scene`, and gives them small runs."""

import pytest
from training_scene import TINY

from isl.core.config import TrainConfig


@pytest.fixture
def tiny():
    """Settings of a run that takes a second."""
    return TrainConfig(**TINY)

"""Fixtures of the inference tests."""

import numpy as np
import pytest
from inference_scene import make_model


@pytest.fixture(scope="session")
def model():
    return make_model()


@pytest.fixture
def rng():
    return np.random.default_rng(0)

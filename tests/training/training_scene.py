"""A small field, and settings with which a run on it takes a second."""

import numpy as np
from scipy.ndimage import gaussian_filter

from isl.core.networks import NetworkConfig
from isl.io.arrays import fov_from_arrays

TINY = {
    "network": NetworkConfig(widths=(8, 8), blocks=(1, 1)),
    "batch_size": 2,
    "patch_px": 32,
    "max_steps": 8,
    "validate_steps": 3,
    "holdout": "columns:64-95",
    "holdout_margin_px": 8,
    "source": "phase",
}


def field(name="a", without=(), size_x=96, **kwargs):
    rng = np.random.default_rng(len(name))
    phase = gaussian_filter(rng.normal(100, 50, (3, 48, size_x)), (0, 3, 3)).astype(np.float32)
    channels = {"phase": phase, "DAPI": phase[1] * 2 + 5, "MAP2": -phase[0]}
    return fov_from_arrays(
        {k: v for k, v in channels.items() if k not in without}, name=name, **kwargs
    )

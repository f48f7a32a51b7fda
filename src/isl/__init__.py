"""In silico labeling: predict fluorescence from transmitted light, pixel by pixel.

Learn from pairs of images, predict new ones, and see how good that is:

>>> import isl
>>> model = isl.train("wells/", "model.isl", max_minutes=20)              # doctest: +SKIP
>>> isl.predict(model, "new_plate.zarr", "predictions.zarr")              # doctest: +SKIP
>>> evaluation = isl.evaluate("predictions.zarr", "truth.zarr")           # doctest: +SKIP
>>> isl.write_report(evaluation, "report.html")                           # doctest: +SKIP
>>> model.predict(phase_zyx, voxel_size=(1.0, 0.3, 0.3))["DAPI"].shape    # doctest: +SKIP
(1024, 768)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isl.api import evaluate, predict, train
    from isl.core.axes import Box, VoxelSize
    from isl.core.config import TrainConfig
    from isl.core.errors import (
        BlankImageError,
        ChannelError,
        ClusterError,
        ConfigError,
        DamagedFileError,
        DataError,
        DuplicateImageError,
        ImageSizeError,
        IslError,
        LeakError,
        MissingExtraError,
        MissingPlaneError,
        ModelFileError,
        OutputError,
        VoxelSizeError,
        WorkerDiedError,
    )
    from isl.core.progress import Progress
    from isl.evaluation.report import write_report
    from isl.inference.model import Model
    from isl.inference.model_file import load_model
    from isl.io.arrays import fov_from_arrays
    from isl.io.fov import Channel, Fov
    from isl.io.open import open_fovs
    from isl.simulate.scene import simulate_scene

__version__ = "0.1.0"

_HOMES = {
    "isl.api": ("evaluate", "predict", "train"),
    "isl.core.axes": ("Box", "VoxelSize"),
    "isl.core.config": ("TrainConfig",),
    "isl.core.errors": (
        "BlankImageError",
        "ChannelError",
        "ClusterError",
        "ConfigError",
        "DamagedFileError",
        "DataError",
        "DuplicateImageError",
        "ImageSizeError",
        "IslError",
        "LeakError",
        "MissingExtraError",
        "MissingPlaneError",
        "ModelFileError",
        "OutputError",
        "VoxelSizeError",
        "WorkerDiedError",
    ),
    "isl.core.progress": ("Progress",),
    "isl.evaluation.report": ("write_report",),
    "isl.inference.model": ("Model",),
    "isl.inference.model_file": ("load_model",),
    "isl.io.arrays": ("fov_from_arrays",),
    "isl.io.fov": ("Channel", "Fov"),
    "isl.io.open": ("open_fovs",),
    "isl.simulate.scene": ("simulate_scene",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BlankImageError",
    "Box",
    "Channel",
    "ChannelError",
    "ClusterError",
    "ConfigError",
    "DamagedFileError",
    "DataError",
    "DuplicateImageError",
    "Fov",
    "ImageSizeError",
    "IslError",
    "LeakError",
    "MissingExtraError",
    "MissingPlaneError",
    "Model",
    "ModelFileError",
    "OutputError",
    "Progress",
    "TrainConfig",
    "VoxelSize",
    "VoxelSizeError",
    "WorkerDiedError",
    "__version__",
    "evaluate",
    "fov_from_arrays",
    "load_model",
    "open_fovs",
    "predict",
    "simulate_scene",
    "train",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is used, so that ``import isl`` stays light (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'isl' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, imported or not."""
    return sorted({*globals(), *__all__})

"""Keep what was measured, for each computer and each architecture of a network."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pooch
import torch
from pydantic import ValidationError

from isl.core.digest import digest_of
from isl.core.settings import Config
from isl.models.stages import Stage

CACHE_VARIABLE = "ISL_CACHE"
"""Environment variable that names the folder of what may be forgotten."""
_PACKAGES = ("in-silico-labeling", "torch", "onnxruntime", "openvino")

_log = logging.getLogger(__name__)


class Measurement(Config):
    """What was measured."""

    day: date
    """When."""
    megapixels_per_second: dict[str, float]
    """Of each backend."""


def machine(threads: int) -> tuple[str, ...]:
    """What the speed of backends depends on, beside the network."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    packages = (f"{name} {_version(name)}" for name in _PACKAGES)
    return (_processor(), f"{os.cpu_count()} cores", f"{threads} threads", gpu, *packages)


def architecture(stages: Sequence[Stage]) -> tuple[str, ...]:
    """Layers and shapes of a network, without its weights."""
    return tuple(
        f"{stage.name} {stage.inputs} {stage.module!r} "
        f"{[(name, tuple(value.shape)) for name, value in stage.module.state_dict().items()]}"
        for stage in stages
    )


def cache_file(stages: Sequence[Stage], threads: int) -> Path:
    """Where the measurement of a network on this computer is kept."""
    text = "\n".join((*machine(threads), *architecture(stages)))
    folder = Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("isl"))
    return folder / "backends" / f"{digest_of([text.encode()])}.json"


def recall(path: Path) -> Measurement | None:
    """Read a measurement; None where there is none, or it is damaged."""
    try:
        return Measurement.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        _log.info("%s cannot be used, so backends are measured again: %s", path, error)
        return None


def remember(path: Path, measurement: Measurement) -> None:
    """Write a measurement; where that is impossible, the next run measures again."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(measurement.model_dump_json())
        partial.replace(path)
    except OSError as error:
        _log.info("%s cannot be written, so the next run measures again: %s", path, error)


def _processor() -> str:
    """Model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"

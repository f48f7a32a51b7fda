"""What makes a run the same as an interrupted one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import isl
from isl.core.digest import digest_of
from isl.inference.jobs import Job
from isl.inference.model import Model
from isl.inference.predict_settings import PredictSettings
from isl.io.source_files import source_files


def fingerprint(
    model: Model, jobs: Iterable[Job], settings: PredictSettings, backend: str | None = None
) -> Mapping[str, str]:
    """Summarise all that the pixels of an output depend on.

    Parameters
    ----------
    model
        Its weights, card and backend count.
    jobs
        Fields and sources; their files count by size and time of change.
    settings
        How to predict; memory and threads do not count, as they change no pixel.
    backend
        Counts in place of the backend of the model, which is not even chosen then.

    Returns
    -------
    mapping
        From what counts to a digest of it, so that a difference can be named.
    """
    how = (
        settings.statistics,
        settings.stitching,
        settings.border,
        settings.orientations,
        settings.dtype,
        settings.resample,
        settings.ignore_voxel_size,
    )
    return {
        "program": isl.__version__,
        "model": model.digest,
        "backend": backend or model.choice.backend.name,
        "settings": digest_of([repr(how).encode()]),
        "source": digest_of(repr(_source(job)).encode() for job in jobs),
    }


def _source(job: Job) -> tuple[Any, ...]:
    fov = job.fov
    stamps = [_stamp(path) for path in source_files(fov, job.source)]
    return (fov.name, job.source, fov.shape, tuple(fov.voxel_size), str(fov.path), stamps)


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change; zeros for what is not on this disk, such as an array."""
    try:
        found = path.stat()
    except (OSError, ValueError, AttributeError, NotImplementedError):
        return 0, 0
    return found.st_size, found.st_mtime_ns

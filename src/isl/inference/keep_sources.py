"""Refuse outputs that would replace what they are predicted from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isl.core.errors import OutputError
from isl.io.fov import Fov
from isl.io.provenance import is_prediction


def keep_sources(output: Path, fovs: Sequence[Fov]) -> None:
    """Refuse an output that would replace, or lie inside, what it is predicted from.

    A file beside the images of a folder may be one of them, unless it says that it is not.
    """
    final = output.resolve()
    for folder in final.parents:
        if folder.suffix == ".zarr":
            raise OutputError(f"{output} lies inside {folder}; choose another --output")
    may_be_image = final.is_file() and not is_prediction(final)
    for path in dict.fromkeys(fov.path.resolve() for fov in fovs):
        is_among = may_be_image and path.is_dir() and final.is_relative_to(path)
        if final == path or final in path.parents or is_among:
            raise OutputError(
                f"{output} would replace images of {path}, which it is predicted from; "
                "choose another --output"
            )

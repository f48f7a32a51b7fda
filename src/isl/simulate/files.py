"""A scene on disk, and a scene as a field of view."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.io.fov import Channel, Fov
from isl.io.staging import staged
from isl.simulate.scene import SOURCE, Scene

TABLE, LABELS = "images.csv", "labels.npz"
COLUMNS = (
    "path", "fov", "channel", "z", "modality", "voxel_size_z", "voxel_size_y", "voxel_size_x",
)  # fmt: skip
COMPRESSION = 6


@dataclass(frozen=True)
class ScenePixels:
    """Pixels of a scene in memory; see `isl.io.fov.PixelSource`."""

    scene: Scene

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Return pixels as (Z, Y, X)."""
        stacks = [self.scene.source, *(image[None] for image in self.scene.targets.values())]
        return stacks[channel][list(z)][:, *box.slices].copy()


def scene_fov(scene: Scene, name: str | None = None) -> Fov:
    """Make a scene a field of view, without writing it.

    Parameters
    ----------
    scene
        The scene.
    name
        Name of the field; ``"S"`` and the seed by default.

    Returns
    -------
    Fov
        The source first, then the targets.
    """
    name = f"S{scene.seed}" if name is None else name
    uint16 = np.dtype(np.uint16)
    source = Channel(SOURCE, scene.source.shape[0], uint16, "brightfield")
    targets = (Channel(target, 1, uint16, "fluorescence") for target in scene.targets)
    return Fov(
        name=name,
        path=Path(name),
        channels=(source, *targets),
        size_t=1,
        size_y=scene.source.shape[1],
        size_x=scene.source.shape[2],
        voxel_size=scene.voxel_size,
        pixels=ScenePixels(scene),
    )


def write_scene(scene: Scene, path: Path | str, *, overwrite: bool = False) -> None:
    """Write a scene as PNG files with the published kind of names.

    A table beside them, ``images.csv``, adds the voxel size, which such names cannot hold, and
    ``labels.npz`` holds the labels.

    Parameters
    ----------
    scene
        The scene.
    path
        Folder to write; it appears when it is complete.
    overwrite
        Replace an existing output.

    Raises
    ------
    OutputError
        Where the folder exists or cannot be written.
    """
    import imagecodecs

    with staged(Path(path), overwrite=overwrite) as folder:
        folder.mkdir()
        rows = []
        for channel, z, image in _images(scene):
            name = image_name(scene.seed, channel, z)
            (folder / name).write_bytes(imagecodecs.png_encode(image, level=COMPRESSION))
            modality = "brightfield" if channel == SOURCE else "fluorescence"
            plane = "" if z is None else z
            rows.append((name, f"S{scene.seed}", channel, plane, modality, *scene.voxel_size))
        with open(folder / TABLE, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
        labels: dict[str, Any] = dict(scene.labels)
        np.savez_compressed(folder / LABELS, **labels)


def image_name(seed: int, channel: str, z: int | None) -> str:
    """Build the name of one image as the published data sets do.

    Examples
    --------
    >>> image_name(0, "NUCLEI", None)[-61:]
    'depth_computation-MAXPROJECT,channel-NUCLEI,is_mask-false.png'
    """
    depth = "depth_computation-MAXPROJECT" if z is None else f"z_depth-{z}"
    return (
        "lab-SIMULATED,condition-SCENE,acquisition_date,year-2000,month-1,day-1,"
        f"well-S{seed},tile_computation-STITCHED,{depth},channel-{channel},is_mask-false.png"
    )


def _images(scene: Scene) -> Iterator[tuple[str, int | None, NDArray[np.uint16]]]:
    """Channel, plane and pixels of each image file."""
    for z, plane in enumerate(scene.source):
        yield SOURCE, z, plane
    for name, image in scene.targets.items():
        yield name, None, image

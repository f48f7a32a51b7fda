"""Images to write, and the ways to write and read them, that the tests of outputs share."""

import warnings

import numpy as np
import yaozarrs

from isl.core.axes import Box, VoxelSize
from isl.io.omezarr import open_omezarr
from isl.io.output import OutputChannel, OutputField, resumable_output

VOXEL = VoxelSize(1.0, 0.3, 0.25)


def field(name="f", sizes=(1, 2, 7, 9), *, well=None, plate=None):
    size_t, size_c, size_y, size_x = sizes
    channels = tuple(OutputChannel(f"target {c}") for c in range(size_c))
    return OutputField(name, channels, size_t, size_y, size_x, VOXEL, well, plate)


def plate_field(well, number, sizes=(1, 1, 7, 9)):
    return field(f"{well}/{number}", sizes, well=well, plate="P1")


def image_of(item, seed=0):
    shape = (item.size_t, len(item.channels), item.size_y, item.size_x)
    return np.random.default_rng(seed).normal(100, 30, shape).astype(np.float32)


def blocks(item, block_yx, step=(1, 1)):
    """Every block of a field, ``step`` shards high and wide, row by row."""
    rows, columns = (c * s for c, s in zip(block_yx, step, strict=True))
    return [
        (t, Box(y, min(y + rows, item.size_y), x, min(x + columns, item.size_x)))
        for t in range(item.size_t)
        for y in range(0, item.size_y, rows)
        for x in range(0, item.size_x, columns)
    ]


def key_of(item, t, box):
    return f"{item.name}@t{t}:{box.y0}-{box.y1},{box.x0}-{box.x1}"


def write_field(output, item, image, step=(1, 1), order=None):
    """Write what is not done, a task for each block, and finish the field."""
    plan = blocks(item, output.block_yx(item.name), step)
    for i in order(len(plan)) if order else range(len(plan)):
        t, box = plan[i]
        if not output.is_done(key_of(item, t, box)):
            write_task(output, item, image, t, box)
    output.finish_field(item.name)


def write_task(output, item, image, t, box):
    written = output.field(item.name).write(t, box, image[(t, slice(None), *box.slices)])
    output.mark_done(key_of(item, t, box), written)


def write(path, items, **options):
    """Write random images and return them by the name of the field."""
    images = {item.name: image_of(item, seed) for seed, item in enumerate(items)}
    with resumable_output(path, items, **options) as output:
        for item in items:
            write_field(output, item, images[item.name])
    return images


def read_zarr(path):
    return {
        fov.name: np.stack(
            [[fov.read(c, t=t)[0] for c in fov.channel_names] for t in range(fov.size_t)]
        )
        for fov in open_omezarr(path)
    }


def validate(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yaozarrs.validate_zarr_store(str(path))

"""Where the planes of a stack are, on the scale from 0 to 1 that networks see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isl.io.fov import Fov


def plane_depths(
    planes: int,
    z_positions: Sequence[float] | None = None,
    *,
    step_um: float | None = None,
    depth_um: float | None = None,
) -> NDArray[np.float32]:
    """Positions of planes, increasing.

    Parameters
    ----------
    planes
        Number of planes.
    z_positions
        Where they are, in units of the step, increasing; evenly spaced where not given.
    step_um
        The step in micrometres, where known.
    depth_um
        Distance from the first to the last plane of a stack that just fills the scale, where known.

    Returns
    -------
    ndarray
        (Z,) float32. Where both lengths are known, micrometres count: the middle of the stack is at
        0.5, and a stack that is deeper than ``depth_um`` exceeds 0..1. Else the first plane is at 0
        and the last at 1; a single plane is at 0.5.

    Examples
    --------
    >>> plane_depths(3, step_um=1.5, depth_um=6.0).tolist()
    [0.25, 0.5, 0.75]
    """
    positions = np.arange(planes) if z_positions is None else np.asarray(z_positions)
    positions = positions.astype(np.float64)
    span = float(positions[-1] - positions[0])
    if span == 0.0:
        return np.full(planes, 0.5, np.float32)
    if step_um and depth_um:
        middle = 0.5 * (positions[0] + positions[-1])
        return np.asarray(0.5 + (positions - middle) * step_um / depth_um, np.float32)
    return np.asarray((positions - positions[0]) / span, np.float32)


def deepest_um(fovs: Sequence[Fov], source: str) -> float | None:
    """Distance from the first to the last plane of the deepest stack, where any step is known."""
    depths = []
    for fov in fovs:
        channel, step_um = fov.channel(source), fov.voxel_size.z
        if step_um and channel.planes > 1:
            positions = channel.z_positions or (0.0, channel.planes - 1.0)
            depths.append((positions[-1] - positions[0]) * step_um)
    return max(depths, default=None)

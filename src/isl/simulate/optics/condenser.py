"""Points that stand for the aperture of a condenser."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_GOLDEN = (math.sqrt(5) - 1) / 2


def condenser_points(inner_na: float, outer_na: float, count: int) -> NDArray[np.float64]:
    """Directions that sample a disc or an annulus evenly, in a fixed order.

    Each point stands for the same area of the aperture.  With each direction comes the opposite
    one, so that asymmetries of first order cancel exactly, as in the real aperture: a weak phase
    object in focus has no contrast in bright field.  Squared radius and angle of the pairs form a
    Fibonacci lattice, which leaves neither gaps nor clusters [1]_.

    Parameters
    ----------
    inner_na, outer_na
        Edges of the annulus, as numerical apertures; ``inner_na`` 0 is a disc, ``outer_na`` 0 the
        one direction along the axis.
    count
        Number of points.  An odd number puts one in the middle of a disc; as an annulus has no
        middle, there it is rounded up to an even number.

    Returns
    -------
    ndarray
        (count, 2) numerical apertures along y and x.

    References
    ----------
    .. [1] Swinbank, R. and Purser, R. J. (2006). Fibonacci grids: a novel approach to global
       modelling. Q. J. R. Meteorol. Soc. 132, 1769-1793.

    Examples
    --------
    >>> condenser_points(0.0, 0.3, 1)
    array([[0., 0.]])
    """
    if outer_na == 0:
        return np.zeros((1, 2))
    middle = count % 2 if inner_na == 0 else 0
    pairs = (count - middle + 1) // 2
    step = np.arange(pairs, dtype=np.float64)
    if inner_na == 0:
        area = (middle + 2 * step + 1) / (middle + 2 * pairs)
        angle = np.pi * ((step * _GOLDEN) % 1)
    else:
        # Around a thin annulus the angles matter most, and are evenly spaced.
        area = (0.5 + step * _GOLDEN) % 1
        angle = np.pi * (step + 0.5) / pairs
    radius = np.sqrt(inner_na**2 + area * (outer_na**2 - inner_na**2))
    half: NDArray[np.float64] = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    return np.concatenate([np.zeros((middle, 2)), half, -half])

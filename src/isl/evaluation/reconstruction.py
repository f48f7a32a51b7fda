"""The source as a network was shown it, and as it reconstructs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box

if TYPE_CHECKING:
    from isl.inference.model import Model
    from isl.models.distribution import Distribution


def reconstruct_source(
    model: Model, zyx: NDArray[Any], box: Box
) -> tuple[Distribution, NDArray[np.float32]] | None:
    """Reconstruct a part of the source.

    Parameters
    ----------
    model
        The model.
    zyx
        (Z, Y, X) whole source of a field, any numeric dtype.
    box
        The part.

    Returns
    -------
    tuple of Distribution and ndarray, or None
        The reconstruction, and the planes that the network was shown, both (planes, y, x) of the
        box and normalised to 0..1; None where the network does not reconstruct its source.

    Raises
    ------
    BlankImageError
        Where the source is constant or holds NaN.
    """
    distribution = model.source_distribution(zyx, box=box)
    if distribution is None:
        return None
    return distribution, _shown_planes(model, zyx, box, distribution.median.shape[0])


def _shown_planes(model: Model, zyx: NDArray[Any], box: Box, planes: int) -> NDArray[np.float32]:
    import torch

    from isl.data.normalization import measure_source_array
    from isl.inference.model import ARRAY
    from isl.models.isl2018.labeling import nearest_planes
    from isl.models.isl2018.network import plane_fractions

    normalizer = measure_source_array(zyx, ARRAY, model.card.source.normalization)
    z_position = torch.linspace(0.0, 1.0, len(zyx))[None]
    index = nearest_planes(z_position, plane_fractions(planes))[0].numpy()
    return np.asarray(normalizer.apply(zyx[:, *box.slices])[index])

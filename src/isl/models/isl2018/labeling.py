"""The published network as a network of this package: stacks in, distributions out."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isl.core.config import Stitching
from isl.core.networks import Isl2018Config
from isl.models.categorical import Categorical
from isl.models.isl2018.network import Isl2018, head_names, plane_fractions, target_head
from isl.models.isl2018.stitching import PERIOD_PX, STITCHERS
from isl.models.labeling import LabelingNetwork

_BYTES = 4
_LIVE_FINE = 20  # copies of the initial projection held at once, at full resolution
_LIVE_UPPER = 12  # copies of the embedding held at once
_LIVE_CLASSES = 3  # copies of the logits held at once
_MARGIN_PX = 128


class Isl2018Labeling(LabelingNetwork):
    """The published network between this package's stacks and distributions.

    Parameters
    ----------
    config
        Its size.
    targets
        Names of the targets; each has a head, after those that reconstruct the planes.
    stitching
        How a large image is covered.

    Attributes
    ----------
    module
        The published network itself.
    stride
        Y and X of the output are multiples of it.
    margin_px
        An output pixel does not depend on source pixels further from it than this.
    lost_px
        Source pixels that are needed beyond the output, before (top, left) and after.
    """

    config: Isl2018Config
    stride = PERIOD_PX
    margin_px = _MARGIN_PX

    def __init__(
        self, config: Isl2018Config, targets: Sequence[str], stitching: Stitching = "dense"
    ) -> None:
        super().__init__()
        self.config = config
        self.targets = tuple(targets)
        self.stitching: Stitching = stitching
        self.module = Isl2018(config, head_names(config, targets))

    @property
    def lost_px(self) -> tuple[int, int]:  # type: ignore[override]
        stitcher = STITCHERS[self.stitching]
        return stitcher.before, stitcher.after

    def bytes_per_pixel(self, planes: int) -> float:
        """Memory that inference needs for each output pixel, estimated."""
        fine = _LIVE_FINE * (self.config.projection or 2 * self.config.planes)
        upper = _LIVE_UPPER * self.module.core.layout.embedding_depth
        classes = _LIVE_CLASSES * self.config.classes * len(self.targets)
        return _BYTES * (fine + upper + classes + 3.0 * max(planes, self.config.planes))

    def features(
        self, source: Float[Tensor, "b z y x"], z_position: Float[Tensor, "b z"]
    ) -> Float[Tensor, "b c y x"]:
        """The network's input: the plane nearest to each requested depth, each with its mask."""
        planes = self.requested(source, z_position)
        masks = torch.ones_like(planes)
        return torch.stack([planes, masks], 2).flatten(1, 2)

    def requested(
        self, source: Float[Tensor, "b z y x"], z_position: Float[Tensor, "b z"]
    ) -> Float[Tensor, "b p y x"]:
        """The plane of each stack that is nearest to each requested depth."""
        index = nearest_planes(z_position, plane_fractions(self.config.planes))
        return torch.stack([stack[i] for stack, i in zip(source, index, strict=True)])

    def embed(
        self, source: Float[Tensor, "b z y x"], z_position: Float[Tensor, "b z"]
    ) -> Float[Tensor, "b d v u"]:
        """Embedding of an image that is larger by ``lost_px`` than the output, stitched."""
        stitcher = STITCHERS[self.stitching]
        return stitcher.embed(self.module.core, self.features(source, z_position))

    def distribution(
        self, source: Float[Tensor, "b z y x"], z_position: Float[Tensor, "b z"]
    ) -> Categorical:
        """Predict the targets.

        Parameters
        ----------
        source
            (B, Z, Y + before + after, X + before + after) float32 in [0, 1]; Y and X multiples
            of 16.
        z_position
            (B, Z) from 0, the first plane, to 1, the last.

        Returns
        -------
        Categorical
            Of (B, C, Y, X) pixels, values from 0 to 1.
        """
        return self._classified(self.embed(source, z_position), self.target_heads)

    def reconstruction(
        self, source: Float[Tensor, "b z y x"], z_position: Float[Tensor, "b z"]
    ) -> Categorical | None:
        """Predict the planes that the network was shown; None where it has no heads for them."""
        heads = self.module.head_names[: -len(self.targets)]
        return self._classified(self.embed(source, z_position), heads) if heads else None

    @property
    def target_heads(self) -> tuple[str, ...]:
        """Names of the heads of the targets."""
        return tuple(map(target_head, self.targets))

    def _classified(self, embedding: Tensor, heads: Sequence[str]) -> Categorical:
        logits = torch.stack(list(self.module.classify(embedding, heads).values()), 2)
        low = logits.new_zeros(len(heads), 1, 1)
        return Categorical.from_logits(logits, low, torch.ones_like(low))


def nearest_planes(
    z_position: Float[Tensor, "b z"], fractions: Sequence[float]
) -> Int[Tensor, "b p"]:
    """Index of the plane that is nearest to each requested depth.

    For evenly spaced planes this is ``round((Z - 1) * fraction)``, halves to the even plane.

    Parameters
    ----------
    z_position
        (B, Z) from 0, the first plane, to 1, the last, rising; a single plane may lie anywhere.
    fractions
        Depths that are requested.

    Examples
    --------
    >>> nearest_planes(torch.linspace(0, 1, 3)[None], [0.0, 0.2, 0.3, 1.0])
    tensor([[0, 0, 1, 2]])
    """
    batch, planes = z_position.shape
    wanted = torch.tensor(fractions, dtype=torch.float64, device=z_position.device)
    if planes == 1:
        return wanted.new_zeros(batch, len(fractions), dtype=torch.long)
    wanted = wanted.expand(batch, -1).contiguous()
    position = z_position.double().contiguous()
    right = torch.searchsorted(position, wanted).clamp(1, planes - 1)
    z_left, z_right = position.gather(1, right - 1), position.gather(1, right)
    index = right - 1 + ((wanted - z_left) / (z_right - z_left)).clamp(0, 1)
    return torch.round(index, decimals=5).round().long()  # positions are rounded to float32

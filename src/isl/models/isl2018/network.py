"""The published network (Christiansen et al., Cell 173, 2018, doi 10.1016/j.cell.2018.03.040).

::

    planes and masks -> projection -> five towers -> concatenation -> upper stack -> one head
                                      (centre crops)                  = embedding    per image
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isl.core.networks import Isl2018Config
from isl.models.isl2018.blocks import Head, ScaleModule
from isl.models.isl2018.layout import INPUT_PX, lay_out


class Core(nn.Module):
    """From planes and masks to the embedding that all heads share.

    Parameters
    ----------
    config
        Its size.
    """

    def __init__(self, config: Isl2018Config) -> None:
        super().__init__()
        self.layout = lay_out(config)
        self.projection: nn.Module = nn.Identity()
        if config.projection:
            self.projection = _projection(self.layout.features, config.projection)
        self.towers = nn.ModuleList(
            nn.Sequential(*map(ScaleModule, tower)) for tower in self.layout.towers
        )
        self.upper = nn.Sequential(*map(ScaleModule, self.layout.upper))

    def tower(self, scale: int, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
        """Run one tower on the centre of the projected input."""
        margin = (INPUT_PX - self.layout.towers[scale][0].in_side) // 2
        rows, columns = x.shape[-2:]
        centre = x[..., margin : rows - margin, margin : columns - margin]
        found: Tensor = self.towers[scale](centre)
        return found

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
        projected = self.projection(x)
        towers = [self.tower(scale, projected) for scale in range(len(self.towers))]
        embedding: Tensor = self.upper(torch.cat(towers, 1))
        return embedding


class Isl2018(nn.Module):
    """The published network with its heads.

    Parameters
    ----------
    config
        Its size.
    heads
        Names of the heads, such as ``"head/MAXPROJECT/DAPI_CONFOCAL"``.

    Examples
    --------
    >>> config = Isl2018Config(base_depth=8, planes=2, classes=4)
    >>> network = Isl2018(config, head_names(config, ["DAPI"])).eval()
    >>> {name: tuple(logits.shape) for name, logits in network(torch.zeros(1, 4, 250, 250)).items()}
    {'head/0.0/TRANSMISSION': (1, 4, 8, 8), 'head/1.0/TRANSMISSION': (1, 4, 8, 8), \
'head/MAXPROJECT/DAPI': (1, 4, 8, 8)}
    """

    def __init__(self, config: Isl2018Config, heads: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.head_names = tuple(heads)
        self.core = Core(config)
        depth = self.core.layout.embedding_depth
        self.heads = nn.ModuleList(Head(depth, config.classes) for _ in heads)

    def embed(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
        """Features of each output pixel.

        Parameters
        ----------
        x
            (B, 2 x planes, Y, X), float32: after each plane in [0, 1] its presence mask, 0 or 1.
            Y and X are 250 + 16 k.

        Returns
        -------
        Tensor
            (B, C, Y - 242, X - 242).
        """
        embedding: Tensor = self.core(x)
        return embedding

    def classify(
        self, embedding: Float[Tensor, "b d y x"], heads: Sequence[str] | None = None
    ) -> dict[str, Float[Tensor, "b k y x"]]:
        """Logits of some heads, of all by default."""
        chosen = self.head_names if heads is None else heads
        return {name: self.heads[self.head_names.index(name)](embedding) for name in chosen}

    def forward(self, x: Float[Tensor, "b c y x"]) -> dict[str, Float[Tensor, "b k v u"]]:
        """Logits (B, classes, Y - 242, X - 242) by the name of the head; ``x`` as for `embed`."""
        return self.classify(self.embed(x))


def _projection(features: int, depth: int) -> nn.Conv2d:
    convolution = nn.Conv2d(features, depth, 1)
    nn.init.xavier_uniform_(convolution.weight)
    nn.init.constant_(convolution.get_parameter("bias"), 0.0)
    return convolution


def plane_fractions(planes: int) -> tuple[float, ...]:
    """Depths of the requested planes, from 0, the first of a stack, to 1, the last.

    Examples
    --------
    >>> plane_fractions(4)
    (0.0, 0.3333, 0.6667, 1.0)
    """
    return tuple(round(index / max(planes - 1, 1), 4) for index in range(planes))


def head_names(config: Isl2018Config, targets: Sequence[str]) -> tuple[str, ...]:
    """Names of all heads: the planes that are reconstructed, then the targets."""
    planes = plane_fractions(config.planes) if config.reconstruction else ()
    return (
        *(f"head/{fraction}/TRANSMISSION" for fraction in planes),
        *map(target_head, targets),
    )


def target_head(target: str) -> str:
    """Name of the head of a target."""
    return f"head/MAXPROJECT/{target}"

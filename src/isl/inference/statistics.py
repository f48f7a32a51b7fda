"""Statistics of the predicted distribution, chosen by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan

import torch
from torch import Tensor

from isl.core.errors import ConfigError
from isl.inference.model_card import TargetCard
from isl.models.distribution import Classes, Distribution

Compute = Callable[[Distribution, Classes], Tensor]
"""From a distribution, and the same rounded to classes, to (C, Y, X)."""

_NAMED: dict[str, Compute] = {
    "median": lambda distribution, _: distribution.median,
    "mean": lambda distribution, _: distribution.mean(),
    "mode": lambda distribution, _: distribution.mode(),
    "std": lambda distribution, _: distribution.std(),
    "nonzero": lambda _, classes: classes.probability_nonzero(),
    "entropy": lambda _, classes: classes.entropy(),
}
_OF_CLASSES = ("nonzero", "entropy")
_QUANTILE = re.compile(r"q(0?\.\d+)")


@dataclass(frozen=True)
class Statistic:
    """One number per pixel that summarises the predicted distribution.

    Attributes
    ----------
    name
        ``"median"``, ``"mean"``, ``"mode"``, ``"std"``, ``"nonzero"``, ``"entropy"``, or a quantile
        such as ``"q0.05"``.
    compute
        Function from a distribution to (C, Y, X).
    """

    name: str
    compute: Compute

    @property
    def of_median(self) -> bool:
        """Whether it follows from the median of a density alone."""
        return self.name in ("median", "mode")

    def channel(self, target: str) -> str:
        """Name of the output channel: the target itself for the median, else with the statistic.

        Examples
        --------
        >>> parse_statistics(["q0.05"])[0].channel("DAPI")
        'DAPI q0.05'
        """
        return target if self.name == "median" else f"{target} {self.name}"

    @property
    def is_share(self) -> bool:
        """Whether it lies between 0 and 1, so that whole numbers cannot hold it."""
        return self.name in _OF_CLASSES

    def window(self, target: TargetCard) -> tuple[float, float]:
        """Display range of the channel, in the unit of the image where it has one."""
        if self.is_share:
            return 0.0, 1.0
        if self.name == "std":
            return 0.0, 2.0 * target.scale
        return value_range(target)


def value_range(target: TargetCard) -> tuple[float, float]:
    """Values of a target shown as black and white, and spanned by classes where there are none."""
    if target.window is not None:
        return target.window
    return target.offset - target.scale, target.offset + 4.0 * target.scale


def parse_statistics(names: Sequence[str]) -> tuple[Statistic, ...]:
    """Look statistics up by name.

    Parameters
    ----------
    names
        At least one of ``"median"``, ``"mean"``, ``"mode"``, ``"std"``, ``"nonzero"`` (probability
        of any value above the lowest class), ``"entropy"`` (0 certain, 1 uniform) and quantiles
        such as ``"q0.05"``.

    Returns
    -------
    tuple of Statistic
        In the order asked for.

    Raises
    ------
    ConfigError
        Where a name is unknown, one name or quantile comes twice, a quantile is not between 0 and
        1, or there is none.
    """
    if isinstance(names, str):
        names = (names,)
    if not names:
        raise ConfigError("no statistic was asked for; name at least one, for example 'median'")
    if len(set(names)) < len(names):
        raise ConfigError(f"a statistic comes twice in: {', '.join(names)}; name each once")
    found = tuple(_parse(name) for name in names)
    _refuse_equal_quantiles(names)
    return found


def _refuse_equal_quantiles(names: Sequence[str]) -> None:
    """Raise where a quantile is written in two ways; the names are known to be good."""
    first: dict[float, str] = {}
    for name in names:
        if name not in _NAMED and (other := first.setdefault(_share_below(name), name)) != name:
            raise ConfigError(f"{other} and {name} are the same quantile; name it once")


def _share_below(name: str) -> float:
    """Share of the distribution below a quantile; NaN where the name is of none."""
    match = _QUANTILE.fullmatch(name)
    return nan if match is None else float(match[1])


def _parse(name: str) -> Statistic:
    if name in _NAMED:
        return Statistic(name, _NAMED[name])
    p = _share_below(name)
    if not 0.0 < p < 1.0:
        raise ConfigError(
            f"there is no statistic '{name}'; there are {', '.join(_NAMED)}, and quantiles "
            "between 0 and 1 written as q0.05"
        )
    return Statistic(name, lambda distribution, _: distribution.quantile(p))


def channel_names(targets: Sequence[str], statistics: Sequence[Statistic]) -> tuple[str, ...]:
    """Names of the output channels: all targets of the first statistic, then of the next."""
    return tuple(statistic.channel(target) for statistic in statistics for target in targets)


def compute_statistics(
    found: Distribution | Tensor,
    statistics: Sequence[Statistic],
    targets: Sequence[TargetCard],
) -> Tensor:
    """Compute the output channels in the order of `channel_names`.

    Parameters
    ----------
    found
        Distribution with parameters (C, Y, X), C the targets; or the medians of a density alone,
        where all statistics are `Statistic.of_median`.
    statistics
        S statistics.
    targets
        The C targets; for ``nonzero`` and ``entropy`` a distribution without classes is rounded to
        256 of them over the `value_range` of its target.

    Returns
    -------
    Tensor
        (S * C, Y, X), float32, in the unit of the distribution.
    """
    if isinstance(found, Tensor):
        return found.repeat(len(statistics), 1, 1).float() if len(statistics) > 1 else found.float()
    limits = torch.tensor([value_range(target) for target in targets], dtype=torch.float64)
    low, high = limits.float().T[..., None, None]
    classes = found.classes(low, high)
    return torch.cat([statistic.compute(found, classes) for statistic in statistics]).float()

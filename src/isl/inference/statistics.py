"""Statistics of the predicted distribution, chosen by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isl.core.errors import ConfigError
from isl.inference.model_card import TargetCard
from isl.models.distribution import SplitLogistic

_NAMED: dict[str, Callable[[SplitLogistic], Tensor]] = {
    "median": lambda distribution: distribution.median,
    "mean": lambda distribution: distribution.mean(),
    "mode": lambda distribution: distribution.mode(),
    "std": lambda distribution: distribution.std(),
}
_QUANTILE = re.compile(r"q(0?\.\d+)")


@dataclass(frozen=True)
class Statistic:
    """One number per pixel that summarises the predicted distribution.

    Attributes
    ----------
    name
        ``"median"``, ``"mean"``, ``"mode"``, ``"std"``, or a quantile such as ``"q0.05"``.
    compute
        Function from a distribution to (C, Y, X).
    """

    name: str
    compute: Callable[[SplitLogistic], Tensor]

    def channel(self, target: str) -> str:
        """Name of the output channel: the target itself for the median, else with the statistic.

        Examples
        --------
        >>> parse_statistics(["q0.05"])[0].channel("DAPI")
        'DAPI q0.05'
        """
        return target if self.name == "median" else f"{target} {self.name}"

    def window(self, target: TargetCard) -> tuple[float, float]:
        """Display range of the channel in the unit of the image."""
        if self.name == "std":
            return 0.0, 2.0 * target.scale
        if target.window is not None:
            return target.window
        return target.offset - target.scale, target.offset + 4.0 * target.scale


def parse_statistics(names: Sequence[str]) -> tuple[Statistic, ...]:
    """Look statistics up by name.

    Parameters
    ----------
    names
        At least one of ``"median"``, ``"mean"``, ``"mode"``, ``"std"`` and quantiles ``"q0.05"``.

    Returns
    -------
    tuple of Statistic
        In the order asked for.

    Raises
    ------
    ConfigError
        Where a name is unknown or comes twice, a quantile is not between 0 and 1, or there is none.
    """
    if isinstance(names, str):
        names = (names,)
    if not names:
        raise ConfigError("no statistic was asked for; name at least one, for example 'median'")
    if len(set(names)) < len(names):
        raise ConfigError(f"a statistic comes twice in: {', '.join(names)}; name each once")
    return tuple(_parse(name) for name in names)


def _parse(name: str) -> Statistic:
    if name in _NAMED:
        return Statistic(name, _NAMED[name])
    match = _QUANTILE.fullmatch(name)
    if match is None or not 0.0 < (p := float(match[1])) < 1.0:
        raise ConfigError(
            f"there is no statistic '{name}'; there are {', '.join(_NAMED)}, and quantiles "
            "between 0 and 1 written as q0.05"
        )
    return Statistic(name, lambda distribution: distribution.quantile(p))


def channel_names(targets: Sequence[str], statistics: Sequence[Statistic]) -> tuple[str, ...]:
    """Names of the output channels: all targets of the first statistic, then of the next."""
    return tuple(statistic.channel(target) for statistic in statistics for target in targets)


def compute_statistics(distribution: SplitLogistic, statistics: Sequence[Statistic]) -> Tensor:
    """Compute the output channels in the order of `channel_names`.

    Parameters
    ----------
    distribution
        With parameters (C, Y, X), C the targets.
    statistics
        S statistics.

    Returns
    -------
    Tensor
        (S * C, Y, X), float32, in the unit of the distribution.
    """
    return torch.cat([statistic.compute(distribution) for statistic in statistics]).float()

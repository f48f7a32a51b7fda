"""How r grows with the amount of training data, and what more of it would bring.

The law is r(n) = limit - loss * n^-power, by which the errors of many learned models fall with the
amount of data (Hestness et al., 2017, arXiv:1712.00409).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isl.evaluation.bootstrap import CONFIDENCE, Interval

FEWEST_AMOUNTS = 3
_DRAWS = 1000
_POWERS = np.geomspace(0.1, 2.0, 40)
_UNKNOWN_ERROR, _LEAST_ERROR = 0.03, 0.003
_ERRORS_PER_INTERVAL = 3.92  # a 95 % interval of a normal distribution spans so many of them


@dataclass(frozen=True)
class AmountFit:
    """The law that fits measured figures, and laws that would fit them as well as not.

    Attributes
    ----------
    largest
        The largest amount that was measured; amounts are in units of it.
    law
        (3,): limit, loss and power.
    draws
        (D, 3): the same, fitted to figures that were varied by their errors.
    """

    largest: float
    law: NDArray[np.float64]
    draws: NDArray[np.float64]

    def at(self, amount: float) -> Interval:
        """Figure that is expected of an amount of data, with its 95 % interval."""
        value, *varied = _figure(np.vstack([self.law, self.draws]), amount / self.largest)
        tail = 50.0 * (1.0 - CONFIDENCE)
        low, high = np.percentile(varied, (tail, 100.0 - tail))
        return Interval(float(value), float(low), float(high))

    @property
    def rises(self) -> bool:
        """Whether more data brings more in nearly all of the laws that fit."""
        return bool(np.mean(self.draws[:, 1] > 0) >= CONFIDENCE)


def fit_amount(amounts: Sequence[float], figures: Sequence[Interval]) -> AmountFit | None:
    """Fit the law to figures by amount of data.

    Parameters
    ----------
    amounts
        Above 0, in any unit.
    figures
        Pearson r of each with its interval; those that are NaN do not count.

    Returns
    -------
    AmountFit or None
        None where fewer than three different amounts have a figure. The limit is at most 1, and
        more data never makes it worse.
    """
    known = [(n, f) for n, f in zip(amounts, figures, strict=True) if np.isfinite(f.value)]
    if len({n for n, _ in known}) < FEWEST_AMOUNTS:
        return None
    largest = max(n for n, _ in known)
    x = np.array([n / largest for n, _ in known])
    r = np.array([f.value for _, f in known])
    errors = np.array([_error(f) for _, f in known])
    law = _solve(x, r[None], errors)[0]
    residual = float(np.sqrt(np.mean((r - _figure(law[None], x)) ** 2)))
    spread = np.hypot(errors, residual)
    varied = r + np.random.default_rng(0).normal(size=(_DRAWS, len(r))) * spread
    return AmountFit(largest, law, _solve(x, varied, errors))


def in_words(target: str, fit: AmountFit | None, reached: Interval) -> str:
    """What twice and four times as much data would bring, in one sentence.

    Parameters
    ----------
    target
        Its name.
    fit
        Made by `fit_amount`.
    reached
        Figure with the largest amount.

    Examples
    --------
    >>> in_words("DAPI", None, Interval(0.7, 0.6, 0.8))
    'DAPI: r 0.70 (0.60 to 0.80) with all of the data; what more would bring cannot be estimated \
from fewer than 3 amounts'
    """
    if np.isnan(reached.value):
        return f"{target}: there is no r with all of the data, so nothing can be estimated"
    start = f"{target}: r {_text(reached)} with all of the data"
    if fit is None:
        few = f"what more would bring cannot be estimated from fewer than {FEWEST_AMOUNTS} amounts"
        return f"{start}; {few}"
    if not fit.rises:
        return (
            f"{start}; r does not clearly rise with the amount of data, so more data of this kind "
            "may bring nothing: a longer budget or a larger held-out part would tell"
        )
    twice, four = (_text(fit.at(times * fit.largest)) for times in (2, 4))
    return f"{start}; twice as much would bring about {twice}, four times as much about {four}"


def _text(figure: Interval) -> str:
    text = f"{figure.value:.2f}"
    return text if np.isnan(figure.low) else f"{text} ({figure.low:.2f} to {figure.high:.2f})"


def _error(figure: Interval) -> float:
    if not np.isfinite(figure.high - figure.low):
        return _UNKNOWN_ERROR
    return max((figure.high - figure.low) / _ERRORS_PER_INTERVAL, _LEAST_ERROR)


def _figure(laws: NDArray[np.float64], x: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Figure of each law (D, 3) at an amount, or of one law at several."""
    limit, loss, power = laws.T
    return np.asarray(limit - loss * np.asarray(x, np.float64) ** -power)


def _solve(
    x: NDArray[np.float64], r: NDArray[np.float64], errors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted least squares for each row of r, (D, N) to (D, 3).

    For a given power the law is a straight line, so that powers are tried one by one.
    """
    weight = errors**-2.0
    best = np.full(len(r), np.inf)
    found = np.zeros((len(r), 3))
    for power in _POWERS:
        basis = x**-power
        limit, loss = _line(basis, r, weight)
        misfit = ((r - limit[:, None] + loss[:, None] * basis) ** 2) @ weight
        better = misfit < best
        best[better] = misfit[better]
        found[better] = np.column_stack([limit, loss, np.full(len(r), power)])[better]
    return found


def _line(
    basis: NDArray[np.float64], r: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Limit and loss, of which the limit is at most 1 and the loss at least 0."""
    s0, s1, s2 = weight.sum(), weight @ basis, weight @ basis**2
    y0, y1 = r @ weight, r @ (weight * basis)
    loss = np.maximum((s1 * y0 - s0 * y1) / (s0 * s2 - s1**2), 0.0)
    limit = (y0 + loss * s1) / s0
    is_beyond = limit > 1.0
    return np.where(is_beyond, 1.0, limit), np.where(is_beyond, (s1 - y1) / s2, loss)

"""The picture of a learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isl.evaluation.amount import AmountFit
from isl.evaluation.bootstrap import Interval
from isl.io.staging import staged

_DPI = 120


@dataclass(frozen=True)
class Line:
    """One target, learned from one start.

    Attributes
    ----------
    label
        What the legend says.
    amounts, figures
        Amounts of data, and r with its interval.
    fit
        The law that fits them, if any.
    is_dashed
        Whether to tell it from another of the same target.
    color
        Number of its colour; lines of the same target have the same.
    """

    label: str
    amounts: tuple[float, ...]
    figures: tuple[Interval, ...]
    fit: AmountFit | None
    is_dashed: bool
    color: int


def draw_curve(path: Path, lines: Sequence[Line], unit: str) -> None:
    """Draw r against the amount of data, on a logarithmic axis that goes to four times the data.

    Parameters
    ----------
    path
        PNG file; replaced where it exists.
    lines
        What to draw.
    unit
        Unit of the amounts, for the axis.

    Raises
    ------
    OutputError
        Where the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.5), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for line in lines:
        _draw(axes, line)
    axes.set_xscale("log")
    amounts = sorted({amount for line in lines for amount in line.amounts})
    axes.set_xticks(amounts, [f"{amount:g}" for amount in amounts])
    axes.minorticks_off()
    axes.set_xlabel(f"training data ({unit})")
    axes.set_ylabel("Pearson r on the held-out part")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    with staged(path, overwrite=True) as temporary:
        canvas.print_figure(temporary, format="png", dpi=_DPI)


def _draw(axes: object, line: Line) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    known = [(n, f) for n, f in zip(line.amounts, line.figures, strict=True) if f.value == f.value]
    if not known:
        return
    amounts, figures = [n for n, _ in known], [f for _, f in known]
    color, style = f"C{line.color % 10}", "--" if line.is_dashed else "-"
    values = np.array([f.value for f in figures])
    low, high = (np.array([getattr(f, end) for f in figures]) for end in ("low", "high"))
    reach = np.nan_to_num(np.stack([values - low, high - values]))
    axes.errorbar(
        amounts,
        values,
        yerr=np.maximum(reach, 0.0),
        fmt="o",
        capsize=3,
        color=color,
        markerfacecolor="white" if line.is_dashed else color,
        label=line.label,
    )
    if line.fit is not None:
        curve = np.geomspace(min(amounts), 4.0 * line.fit.largest, 100)
        axes.plot(curve, [line.fit.at(n).value for n in curve], style, color=color, lw=1)
    else:
        axes.plot(amounts, values, style, color=color, lw=1)

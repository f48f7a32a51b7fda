"""A folder with the error panels of each field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from isl.core.axes import Box
from isl.evaluation.error_panels import (
    ErrorPanel,
    PanelLayout,
    input_error_panel,
    target_error_panel,
    write_error_panel,
)
from isl.evaluation.scores import FloatArray
from isl.io.staging import staged

if TYPE_CHECKING:
    from isl.models.distribution import Distribution

SIDE_PX = 256
"""Side of each picture: what the published program makes of its default square of 500 px."""


@dataclass(frozen=True)
class PanelFolder:
    """Writes the panels of fields, each into a folder with the name of the field.

    Attributes
    ----------
    path
        The folder.
    layout
        Which columns the panels have; see `isl.evaluation.error_panels.COLUMNS`.
    side_px
        Rows and columns that are shown at most, from the upper left of what is evaluated.
    """

    path: Path
    layout: PanelLayout = "simplified"
    side_px: int = SIDE_PX

    def shown(self, box: Box) -> Box:
        """Part of a box that is shown."""
        y1, x1 = min(box.y0 + self.side_px, box.y1), min(box.x0 + self.side_px, box.x1)
        return Box(box.y0, y1, box.x0, x1)

    def write_targets(
        self,
        field: str,
        distribution: Distribution,
        truth: FloatArray,
        limits: Sequence[tuple[float, float]],
    ) -> None:
        """Write ``target_error_panel.png``; arguments as for `target_error_panel`.

        Raises
        ------
        OutputError
            Where the file cannot be written.
        """
        rows, columns = self.shown(Box.of((truth.shape[-2], truth.shape[-1]))).slices
        part = distribution.map(lambda p: p[..., rows, columns])
        panel = target_error_panel(part, truth[..., rows, columns], limits, self.layout)
        self._write(field, "target_error_panel.png", panel)

    def write_inputs(self, field: str, distribution: Distribution, source: FloatArray) -> None:
        """Write ``input_error_panel.png``; arguments as for `input_error_panel`.

        Raises
        ------
        OutputError
            Where the file cannot be written.
        """
        panel = input_error_panel(distribution, source, self.layout)
        self._write(field, "input_error_panel.png", panel)

    def _write(self, field: str, name: str, panel: ErrorPanel) -> None:
        write_error_panel(self.path.joinpath(*_folders(field), name), panel)


@contextmanager
def panels_at(
    folder: Path | str, layout: PanelLayout = "simplified", overwrite: bool = False
) -> Iterator[PanelFolder]:
    """Find out before the work whether panels can be written; they appear when the block ends.

    Parameters
    ----------
    folder
        Folder to make.
    layout
        Which columns the panels have.
    overwrite
        Replace a folder of panels that exists.

    Yields
    ------
    PanelFolder
        Writes into a temporary folder.

    Raises
    ------
    OutputError
        Where the folder exists or cannot be written.

    Examples
    --------
    >>> with panels_at("panels") as panels:                              # doctest: +SKIP
    ...     panels.write_targets("B/03/0", distribution, truth, [(0, 4095)])
    """
    with staged(Path(folder), overwrite=overwrite) as partial:
        partial.mkdir()
        yield PanelFolder(partial, layout)


def _folders(field: str) -> list[str]:
    """Folders of a field within that of the panels, whatever its name: ``B/03/0`` is three."""
    parts = [part for part in re.split(r"[\\/]", field) if part.strip(". ")]
    return [re.sub(r'[<>:"|?*\x00-\x1f]', "_", part) for part in parts] or ["field"]

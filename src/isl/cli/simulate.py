"""``isl simulate``: write a synthetic scene."""

from __future__ import annotations

from isl.cli.console import say
from isl.cli.flags import Output, Overwrite


def simulate(
    *,
    output: Output,
    seed: int = 0,
    rows: int = 512,
    columns: int = 512,
    planes: int = 13,
    cells: int | None = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a synthetic scene: a bright-field stack, two fluorescence images and labels.

    Parameters
    ----------
    output
        Folder to write.
    seed
        Number that the scene is drawn from; the same number gives the same scene.
    rows
        Height in pixels of 0.5 um.
    columns
        Width in pixels of 0.5 um.
    planes
        Number of z planes, 1.5 um apart.
    cells
        Number of cells; by default one for every 1500 square micrometres.
    """
    from isl.simulate.files import write_scene
    from isl.simulate.scene import simulate_scene

    scene = simulate_scene(seed, (rows, columns), planes, cells)
    write_scene(scene, output, overwrite=overwrite)
    say(f"wrote {output}: {planes} planes of {rows} x {columns} pixels")
    say(f"next: isl info {output}")

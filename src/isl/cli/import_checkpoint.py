"""``isl import-checkpoint``: weights of the released program in, a model file out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from isl.cli.console import say
from isl.cli.flags import Output, Overwrite
from isl.core.errors import ConfigError

if TYPE_CHECKING:
    from isl.inference.model_card import ModelCard


def import_checkpoint(
    folder: Path,
    /,
    *,
    output: Output,
    normalization: Literal["full-range", "published"] = "full-range",
    voxel_size_um: str | None = None,
    overwrite: Overwrite = False,
) -> int:
    """Make a model file of a TensorFlow checkpoint that the program of 2018 wrote.

    The model then predicts like any other: isl predict model.isl IMAGES -o predictions.zarr.

    Parameters
    ----------
    folder
        Folder of the checkpoint; also its prefix (train/model.ckpt-1000) or its .index file.
    output
        Model file to write, such as model.isl.
    normalization
        What happens to images before the network sees them. Full-range: they are divided by the
        largest value of their type, right for the published images. Published: any image is first
        brought to the mean (0.5) and standard deviation (0.125) of the published ones.
    voxel_size_um
        Pixel size in micrometres that the weights were trained at, such as 0.5, or z,y,x such as
        1.5,0.5,0.5; unknown by default, and images of any magnification are accepted then.
    """
    from isl.inference.imported import import_checkpoint as import_model
    from isl.inference.model_file import save_model

    sizes = None if voxel_size_um is None else parse_voxel_size(voxel_size_um)
    model = import_model(folder, normalization=normalization, voxel_size=sizes)
    save_model(model, output, overwrite=overwrite)
    say(closing_lines(model.card, output))
    return 0


def parse_voxel_size(text: str) -> tuple[float, ...]:
    """Lengths in micrometres of ``0.5`` (y and x), ``0.5,0.5`` or ``1.5,0.5,0.5``.

    Raises
    ------
    ConfigError
        Where these are no numbers.

    Examples
    --------
    >>> parse_voxel_size("0.5"), parse_voxel_size("1.5,0.5,0.5")
    ((0.5, 0.5), (1.5, 0.5, 0.5))
    """
    try:
        lengths = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"--voxel-size-um {text}: give micrometres, as 0.5 or as z,y,x: 1.5,0.5,0.5"
        ) from error
    return lengths * 2 if len(lengths) == 1 else lengths


def closing_lines(card: ModelCard, output: Path) -> str:
    """Say what was imported."""
    after = f" after {card.provenance.steps} steps" if card.provenance.steps else ""
    return (
        f"imported {', '.join(card.target_names)} from {card.provenance.imported_from}{after}: "
        f"{output}\n"
        f"it sees {card.source.planes} planes, normalisation {card.source.normalization}, "
        f"voxel size {card.voxel_size}"
    )

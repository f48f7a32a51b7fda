"""The steps as functions that take paths or fields of view; each is one call in a notebook."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isl.core.config import TrainConfig, merge_settings
from isl.core.errors import ConfigError, DataError, IslError
from isl.core.progress import ProgressCallback, silent
from isl.io.fov import Fov

if TYPE_CHECKING:
    from isl.core.region import Region
    from isl.evaluation.evaluation import Evaluation
    from isl.evaluation.panel_folder import PanelFolder
    from isl.inference.model import Model
    from isl.inference.summary import PredictSummary

logger = logging.getLogger(__name__)

Data = str | Path | Fov | Sequence[str | Path | Fov]
"""Paths of image files, folders, plates or tables, or fields of view that are open."""
OnBad = Callable[[str, IslError], None]


def train(
    data: Data,
    output: str | Path,
    *,
    config: TrainConfig | None = None,
    pattern: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    on_bad: OnBad | None = None,
    **settings: Any,
) -> Model:
    """Learn to predict fluorescence from pairs of images.

    Parameters
    ----------
    data
        Paths, or fields of view.
    output
        Model file to write.
    config
        Settings; the defaults where not given.
    pattern
        How file names are built, where this cannot be told.
    resume
        Go on with an interrupted run of the same output.
    overwrite
        Replace an existing output.
    progress
        Called after each step.
    on_bad
        Called for each bad field, which is skipped; by default the first one raises.
    **settings
        Fields of `TrainConfig`; they win over ``config``.

    Returns
    -------
    Model
        The model that was written.

    Raises
    ------
    ConfigError
        Where a setting is unknown or makes no sense.
    IslError
        Where the images or the output cannot be used.

    Examples
    --------
    >>> model = isl.train("wells/", "model.isl", max_minutes=20)    # doctest: +SKIP
    """
    from isl.training.run import train as run

    checked = _settings(config, settings_of_data(data), settings)
    fovs = open_data(data, pattern=pattern, on_bad=on_bad)
    return run(
        fovs,
        checked,
        Path(output),
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        announce=lambda plan: logger.info("%s", plan),
        on_bad=on_bad,
    )


def predict(
    model: Model | str | Path,
    data: Data,
    output: str | Path,
    *,
    pattern: str | None = None,
    on_bad: OnBad | None = None,
    **options: Any,
) -> PredictSummary:
    """Predict the fluorescence of z-stacks and write it.

    Parameters
    ----------
    model
        A model, the path of its file, or its name in `isl models`.
    data
        Paths, or fields of view.
    output
        ``NAME.zarr`` for OME-Zarr, ``NAME.ome.tif`` for OME-TIFF.
    pattern
        How file names are built, where this cannot be told.
    on_bad
        Called for each bad field, which is skipped; by default the first one raises.
    **options
        As for `isl.inference.predict.predict_fovs`: ``statistics``, ``source``, ``overwrite``...

    Returns
    -------
    PredictSummary
        Fields predicted and left out, and how fast.

    Raises
    ------
    IslError
        Where the images, the model or the output cannot be used.

    Examples
    --------
    >>> isl.predict("model.isl", "plate.zarr", "predictions.zarr").fields    # doctest: +SKIP
    ('B/03/0', 'B/03/1')
    """
    from isl.inference.predict import predict_fovs

    fovs = open_data(data, pattern=pattern, on_bad=on_bad)
    return predict_fovs(_model(model), fovs, Path(output), on_bad=on_bad, **options)


def evaluate(
    prediction: Model | Data,
    truth: Data,
    *,
    region: Region | str | None = None,
    pattern: str | None = None,
    ignore_voxel_size: bool = False,
    panels: PanelFolder | None = None,
    on_bad: OnBad | None = None,
    **options: Any,
) -> Evaluation:
    """Compare predictions with the truth.

    Parameters
    ----------
    prediction
        Predictions, or a model (or the path of its file, or its name), which then predicts
        ``truth``.
    truth
        Paths, or fields of view, with the fluorescence and, for controls, the source.
    region
        Part of each field to compare, such as ``"columns:576-767"``; by default all of it, but for
        what a model was trained on.
    pattern
        How file names of the truth are built, where this cannot be told.
    ignore_voxel_size
        Let a model predict images at another magnification than it was trained at.
    panels
        Where error panels of a model are written; see `isl.evaluation.panel_folder.panels_at`.
    on_bad
        Called for each bad field, which is skipped; by default the first one raises.
    **options
        As for `isl.evaluation.evaluate.evaluate_prediction`: ``targets``, ``source``...

    Returns
    -------
    Evaluation
        Scores with confidence intervals, and pictures; see `isl.write_report`.

    Raises
    ------
    ConfigError
        Where error panels are wanted of predictions that are files.
    IslError
        Where the images or the model cannot be used.

    Examples
    --------
    >>> evaluation = isl.evaluate("model.isl", "well/", region="columns:576-767")  # doctest: +SKIP
    >>> evaluation.score("DAPI", "pearson_r").value                                # doctest: +SKIP
    0.81
    """
    from isl.core.region import parse_region
    from isl.evaluation.evaluate import evaluate_model, evaluate_prediction
    from isl.inference.model import Model

    if panels is not None and not _is_model(prediction):
        raise ConfigError(
            f"{prediction}: error panels need the model, as files of predictions lack the "
            "distribution; evaluate the model file instead, or leave --panels (panels) out"
        )
    options |= {"region": parse_region(region) if isinstance(region, str) else region}
    unread: list[str] = []

    def skip(name: str, error: IslError) -> None:
        assert on_bad is not None
        unread.append(f"field {name} was left out: {error}")
        on_bad(name, error)

    while_opening = None if on_bad is None else skip
    fovs = open_data(truth, pattern=pattern, on_bad=while_opening)
    if isinstance(prediction, (str, Path)) and is_model_file(prediction):
        options = {"name": Path(prediction).name, **options}
        prediction = _model(prediction)
    if isinstance(prediction, Model):
        options |= {"ignore_voxel_size": ignore_voxel_size, "panels": panels}
        evaluation = evaluate_model(prediction, fovs, on_bad=on_bad, **options)
    else:
        predictions = open_data(prediction, on_bad=while_opening)
        evaluation = evaluate_prediction(predictions, fovs, on_bad=on_bad, **options)
    return replace(evaluation, left_out=(*unread, *evaluation.left_out))


def open_data(data: Data, *, pattern: str | None = None, on_bad: OnBad | None = None) -> list[Fov]:
    """Open all fields of view; names that occur twice get their path in front.

    Parameters
    ----------
    data
        Paths, or fields of view.
    pattern
        How file names are built, where this cannot be told.
    on_bad
        Called for each bad field, which is skipped; by default the first one raises.

    Returns
    -------
    list of Fov
        In the order given.

    Raises
    ------
    ConfigError
        Where nothing is given, or a path is given twice.
    DataError
        Where a path does not exist, or nothing can be opened.
    """
    from isl.io.remote_path import as_path

    items: list[str | Path | Fov] = [data] if isinstance(data, (str, Path, Fov)) else list(data)
    if not items:
        raise ConfigError("no images are given; name at least one file, folder or table")
    paths = [as_path(item).resolve() for item in items if not isinstance(item, Fov)]
    if len(set(paths)) < len(paths):
        raise ConfigError(f"a path is given twice among {', '.join(map(str, items))}; give it once")
    for path in paths if len(paths) > 1 else ():
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder; check the path")
    fovs: list[tuple[str, Fov]] = []
    for item in items:
        try:
            found = _open(item, pattern, on_bad)
        except IslError as error:
            if on_bad is None or len(items) == 1:
                raise
            on_bad(str(item), error)
        else:
            fovs += [(str(fov.path if isinstance(item, Fov) else item), fov) for fov in found]
    if not fovs:
        raise DataError(f"none of {', '.join(map(str, items))} can be opened, see above")
    names = [fov.name for _, fov in fovs]
    return [
        fov.renamed(f"{origin}:{fov.name}") if names.count(fov.name) > 1 else fov
        for origin, fov in fovs
    ]


def settings_of_data(data: Data) -> dict[str, Any]:
    """Settings of a training run that a file of data sets brings, see `isl.data.dataset_config`.

    Parameters
    ----------
    data
        Paths, or fields of view.

    Returns
    -------
    dict
        Empty where none of the paths is such a file.

    Raises
    ------
    ConfigError
        Where there are several such files, or one cannot be read.
    """
    from isl.data.dataset_config import is_datasets_file, read_datasets

    items = [data] if isinstance(data, (str, Path, Fov)) else data
    paths = [Path(item) for item in items if not isinstance(item, Fov)]
    files = [path for path in paths if is_datasets_file(path)]
    if len(files) > 1:
        raise ConfigError(
            f"{' and '.join(map(str, files))} both list data sets; list all of them in one file"
        )
    return read_datasets(files[0]).settings() if files else {}


def _open(item: str | Path | Fov, pattern: str | None, on_bad: OnBad | None) -> list[Fov]:
    from isl.data.dataset_config import is_datasets_file
    from isl.io.open import open_fovs

    if not isinstance(item, Fov) and is_datasets_file(Path(item)):
        from isl.data.datasets import open_datasets

        return open_datasets(Path(item), on_bad)
    return [item] if isinstance(item, Fov) else open_fovs(item, pattern=pattern, on_bad=on_bad)


def is_model_file(path: str | Path) -> bool:
    """Whether a path is named as a model file, holds one (safetensors), or is a model's name."""
    from isl.inference.registry import is_model_name

    path = Path(path)
    if path.suffix == ".isl":
        return True
    if not path.is_file():
        return is_model_name(path)
    with open(path, "rb") as file:
        return file.read(9)[8:] == b"{"


def _is_model(prediction: Model | Data) -> bool:
    from isl.inference.model import Model

    if isinstance(prediction, (str, Path)):
        return is_model_file(prediction)
    return isinstance(prediction, Model)


def _model(model: Model | str | Path) -> Model:
    from isl.inference.model_file import load_model

    return load_model(model) if isinstance(model, (str, Path)) else model


def _settings(
    config: TrainConfig | None, of_data: dict[str, Any], settings: dict[str, Any]
) -> TrainConfig:
    from pydantic import ValidationError

    given = {} if config is None else config.model_dump(exclude_unset=True)
    try:
        return TrainConfig.model_validate(merge_settings(of_data, given, settings))
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError("settings of the training run: " + "; ".join(lines)) from error

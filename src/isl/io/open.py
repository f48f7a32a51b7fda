"""Open whatever a path holds as fields of view."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from isl.core.errors import ConfigError, DataError, IslError
from isl.io.collect import Candidate, OnBad, open_candidates, with_unique_names
from isl.io.fov import Fov
from isl.io.remote import facts
from isl.io.remote_file import local_copy
from isl.io.remote_path import as_path, is_address
from isl.io.remote_systems import is_http
from isl.io.staging import RUN_MARKER

_log = logging.getLogger(__name__)
_MOST_REMEMBERED = 50_000
_TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
_TABLE_SUFFIXES = frozenset({".csv", ".parquet"})
MAKER_SUFFIXES = frozenset({".nd2", ".czi", ".lif"})
"""Endings of files that bioio reads, in lower case."""
_READABLE = (
    "folders of PNG or TIFF images, OME-Zarr, TIFF and OME-TIFF, CSV or Parquet tables of images, "
    "and ND2, CZI and LIF with the extra 'formats'"
)


def open_fovs(
    path: str | Path, *, pattern: str | None = None, on_bad: OnBad | None = None
) -> list[Fov]:
    """Open images as they are: nothing is converted, and no pixel is decoded yet.

    Parameters
    ----------
    path
        A folder of images (searched with its sub-folders), an OME-Zarr image or plate, a TIFF
        file, a CSV or Parquet table of image files, or a file that bioio reads; or the address
        (http, https, s3, gs) of one of these, of a folder only in s3 and gs. Predictions of
        this package that lie among other images, and folders of its training runs, are left out.
    pattern
        How the files of a folder are named, for example ``"{fov}_{channel}_z{z}.tif"``; guessed
        by default.
    on_bad
        Called with the name of each field that cannot be opened, and the error; the field is
        skipped. By default the first bad field raises, and so does the only one.

    Returns
    -------
    list of Fov
        With names that are unique.

    Raises
    ------
    DataError
        Where the path does not exist, holds nothing that can be read, or all fields are bad.
    DamagedFileError, MissingPlaneError, DuplicateImageError, ImageSizeError
        Where a field is bad and ``on_bad`` is None.

    Examples
    --------
    >>> [fov.name for fov in isl.open_fovs("wells")]                    # doctest: +SKIP
    ['A4', 'A5']
    """
    path = as_path(path)
    _refuse_absent(path)
    bad: list[tuple[str, IslError]] = []
    note: OnBad | None = None if on_bad is None else lambda *field: bad.append(field)
    fovs = with_unique_names(_open(path, pattern, note))
    if not fovs and len(bad) == 1:
        raise bad[0][1]
    if on_bad is not None:
        for name, error in bad:
            on_bad(name, error)
    if not fovs and bad:
        raise DataError(f"{path}: none of its {len(bad)} fields can be opened, see above")
    if not fovs:
        raise DataError(f"{path}: nothing here can be read; readable are {_READABLE}")
    return fovs


def _refuse_absent(path: Path) -> None:
    """Raise where there is nothing, or what HTTP answers with is no file."""
    if not is_address(path):
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder; check the path")
        return
    found = facts(str(path))
    if found is None or found.is_page:
        over_http = "; over HTTP no folder can be listed: name a .zarr, a file, or a table of files"
        raise DataError(
            f"{path}: there is no image, or no permission to see it; check the address"
            f"{over_http if is_http(str(path)) else ''}"
        )


def _open(path: Path, pattern: str | None, on_bad: OnBad | None) -> list[Fov]:
    if _is_omezarr(path):
        return _open_omezarr(path, on_bad)
    if path.is_dir():
        return open_candidates(_folder(path, pattern, on_bad), on_bad)
    if pattern is not None:
        raise ConfigError(f"{path}: a pattern names the files of a folder, but this is a file")
    if path.suffix.lower() in _TABLE_SUFFIXES:
        from isl.io.table import table_fields

        return open_candidates(table_fields(path), on_bad)
    return open_candidates([Candidate(path.name, partial(_open_file, path))], on_bad)


def _open_file(path: Path) -> list[Fov]:
    suffix = path.suffix.lower()
    if suffix in _TIFF_SUFFIXES:
        return _open_tiff(path)
    if suffix == ".png":
        return _open_plane(path)
    if suffix in {".isl", ".ckpt", ".html", ".yaml", ".yml", ".md", ".txt", ".json"}:
        raise DataError(f"{path}: not an image; readable are {_READABLE}")
    from isl.io.bioio_reader import open_with_bioio

    return [replace(fov, path=path) for fov in open_with_bioio(local_copy(path))]


def _open_tiff(path: Path) -> list[Fov]:
    """A TIFF file by its metadata; a single channel without a name by the name of the file."""
    from isl.io.tiff import has_channel_names, is_single_plane, open_tiff

    nameless = is_single_plane(path) and not has_channel_names(path)
    return _open_plane(path) if nameless else open_tiff(path)


def _open_plane(path: Path) -> list[Fov]:
    """A single image: the channel is what its name says, the field is named by the file."""
    from isl.io.file_names import channel_of_name
    from isl.io.plane_fields import PlaneImage, build_field
    from isl.io.published_names import parse_published_name

    published = parse_published_name(path.name)
    channel = published.channel if published else channel_of_name(path.name)
    name = published.well if published else path.stem
    return [build_field(name, path, [PlaneImage(path, name, channel)])]


def _folder(root: Path, pattern: str | None, on_bad: OnBad | None) -> list[Candidate]:
    """Candidates below a folder; OME-Zarr folders in it are not searched but opened."""
    return find_candidates(root, *walk_images(root), pattern=pattern, on_bad=on_bad)


def find_candidates(
    root: Path,
    files: Sequence[Path],
    zarrs: Sequence[Path],
    *,
    pattern: str | None = None,
    on_bad: OnBad | None = None,
) -> list[Candidate]:
    """Group what lies below a folder into what opens together; only heads of TIFF files are read.

    Parameters
    ----------
    root
        The folder.
    files, zarrs
        What `walk_images` found in it, or a part of that.
    pattern
        As for `open_fovs`.
    on_bad
        Told about fields of an OME-Zarr group that do not open, once its candidate is opened.

    Returns
    -------
    list of Candidate
        Predictions among other images are left out.
    """
    from isl.io.file_names import named_fields, pattern_fields
    from isl.io.plane_files import PLANE_SUFFIXES
    from isl.io.published_names import is_published_name, published_fields

    images = [f for f in files if f.suffix.lower() in PLANE_SUFFIXES]
    if pattern is not None:
        return pattern_fields(root, images, pattern)
    published = [f for f in images if is_published_name(f.name)]
    stacks, planes = _sorted_tiffs([f for f in images if not is_published_name(f.name)])
    makers = [f for f in files if f.suffix.lower() in MAKER_SUFFIXES]
    images_beside = bool(published or planes or makers)
    wanted_zarrs, wanted_stacks = _without_predictions(zarrs, stacks, images_beside)
    return [
        *(Candidate(z.name, partial(_open_omezarr, z, on_bad), (z,)) for z in wanted_zarrs),
        *published_fields(published),
        *named_fields(root, planes),
        *(Candidate(f.name, partial(_open_file, f), _files_of(f)) for f in wanted_stacks),
        *(Candidate(f.name, partial(_open_file, f), (f,)) for f in makers),
    ]


def _without_predictions(
    zarrs: Sequence[Path], stacks: Sequence[Path], among_others: bool
) -> tuple[Sequence[Path], Sequence[Path]]:
    """Leave out predictions, which are nothing to predict from, unless there is nothing else."""
    from isl.io.provenance import is_prediction

    predictions = {path for path in zarrs if is_prediction(path)}
    predictions |= {path for path in stacks if _tiff_kind(path).is_prediction}
    if len(predictions) == len(zarrs) + len(stacks) and not among_others:
        return zarrs, stacks
    for path in sorted(predictions):
        _log.info("left out %s: a prediction among other images", path)
    return [z for z in zarrs if z not in predictions], [s for s in stacks if s not in predictions]


def walk_images(folder: Path, skip: Path | None = None) -> tuple[list[Path], list[Path]]:
    """Files and OME-Zarr folders below a folder, sorted; hidden ones are left out.

    Parameters
    ----------
    folder
        Where to look.
    skip
        A folder below it to leave out.

    Raises
    ------
    OSError
        Where a folder cannot be listed.
    """
    files: list[Path] = []
    zarrs: list[Path] = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry == skip:
            continue
        if entry.is_file():
            files.append(entry)
        elif entry.suffix == ".zarr" or _has_zarr_metadata(entry):
            zarrs.append(entry)
        elif entry.is_dir() and not (entry / RUN_MARKER).is_file():
            more_files, more_zarrs = walk_images(entry, skip)
            files += more_files
            zarrs += more_zarrs
    return files, zarrs


@dataclass(frozen=True)
class _TiffKind:
    """What a TIFF file is among others: alone or a plane, own or foreign."""

    is_plane: bool
    is_prediction: bool
    files: tuple[Path, ...]


def _tiff_kind(path: Path) -> _TiffKind:
    stat = path.stat()
    return _remembered_kind(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=_MOST_REMEMBERED)
def _remembered_kind(path: Path, _mtime_ns: int, _size: int) -> _TiffKind:
    """Kind of a file that has not changed: a folder that grows is looked at again and again."""
    from isl.io.provenance import is_prediction
    from isl.io.tiff import files_of, is_single_plane

    own = is_prediction(path)
    single = is_single_plane(path) and not own
    return _TiffKind(single, own, (path,) if single else tuple(sorted(files_of(path))))


def _files_of(path: Path) -> tuple[Path, ...]:
    return _tiff_kind(path).files


def _sorted_tiffs(images: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Files with channels, times or series of their own, and files that are planes of a field.

    A file that cannot be read counts as a plane, so that the field its name belongs to is
    reported and not quietly opened without it.
    """
    stacks: list[Path] = []
    planes: list[Path] = []
    covered: set[Path] = set()
    for file in images:
        if file.suffix.lower() == ".png":
            planes.append(file)
        elif file.resolve() not in covered:
            try:
                kind = _tiff_kind(file)
            except (IslError, FileNotFoundError):
                planes.append(file)
                continue
            covered |= set() if kind.is_plane else {f.resolve() for f in kind.files}
            (planes if kind.is_plane else stacks).append(file)
    return stacks, planes


def _has_zarr_metadata(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zattrs"))


def _is_omezarr(path: Path) -> bool:
    if not path.is_dir() or not (path.suffix == ".zarr" or _has_zarr_metadata(path)):
        return False
    from isl.io.omezarr import is_omezarr

    return bool(is_omezarr(path))


def _open_omezarr(path: Path, on_bad: OnBad | None) -> list[Fov]:
    from isl.io.omezarr import open_omezarr

    return list(open_omezarr(path, on_bad))

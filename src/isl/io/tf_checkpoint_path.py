"""Which checkpoint is meant by a folder, a prefix or a file."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath

from isl.core.errors import DamagedFileError, DataError
from isl.io.damage import naming_damage

INDEX_SUFFIX = ".index"
_STATE_FILE = "checkpoint"
_STATE = "the state file of a TensorFlow checkpoint"
_LATEST = re.compile(
    rb'^[ \t]*model_checkpoint_path[ \t]*:[ \t]*"((?:[^"\\\n]|\\.)*)"', re.MULTILINE
)
_MAX_STATE_BYTES = 1 << 20
_MAX_LISTED = 10


def find_index(path: Path) -> Path:
    """Return the ``.index`` file of a TensorFlow checkpoint.

    Parameters
    ----------
    path
        The folder, the prefix (``"train/model.ckpt-1000"``) or the ``.index`` file itself.

    Raises
    ------
    DataError
        Where there is none, or a folder holds several and no file ``checkpoint`` chooses.
    DamagedFileError
        Where the file ``checkpoint`` cannot be understood.
    """
    with naming_damage(path, "a TensorFlow checkpoint"):
        if path.is_dir():
            return _index_in_folder(path)
        index = path if path.suffix == INDEX_SUFFIX else _index_of(path)
        if not index.is_file():
            raise DataError(f"{path}: {_explain_absence(path, index)}")
        return index


def _index_of(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + INDEX_SUFFIX)


def _explain_absence(path: Path, index: Path) -> str:
    if path.is_file():
        return (
            f"there is no {index.name} beside this file; give the folder, the prefix or the "
            ".index file of a checkpoint in format V2 (older single files are not read)"
        )
    return (
        f"there is no TensorFlow checkpoint here ({index.name} does not exist); "
        "give its folder, its prefix or its .index file"
    )


def _index_in_folder(folder: Path) -> Path:
    state = folder / _STATE_FILE
    found = sorted(folder.glob(f"*{INDEX_SUFFIX}"))
    if state.is_file():
        return _index_of_state(state, found)
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"{folder}: holds {len(found)} checkpoints ({_names(found)}) and no file "
            f"'{_STATE_FILE}' that chooses one; give the .index file of one of them"
        )
    raise DataError(
        f"{folder}: holds no TensorFlow checkpoint (no *{INDEX_SUFFIX} file); check the path"
    )


def _index_of_state(state: Path, found: list[Path]) -> Path:
    prefix = _latest_prefix(state)
    # Checkpoints are moved and downloaded: the folder of the state file counts before the one
    # in which the training ran, whose path may be of another system (both separators count).
    name = PureWindowsPath(prefix).name + INDEX_SUFFIX
    for index in (state.parent / name, state.parent / (prefix + INDEX_SUFFIX)):
        if index.is_file():
            return index
    raise DataError(
        f"{state}: names {prefix}, but {name} does not exist (found: "
        f"{_names(found)}); copy the missing files or give the .index file to read"
    )


def _latest_prefix(state: Path) -> str:
    with naming_damage(state, _STATE):
        with state.open("rb") as file:
            match = _LATEST.search(file.read(_MAX_STATE_BYTES))
        # Bytes outside ASCII are written as octal escapes.
        prefix = match[1].decode("unicode_escape").encode("latin-1").decode() if match else ""
        if not PureWindowsPath(prefix).name:
            raise DamagedFileError(
                f"{state}: has no line 'model_checkpoint_path: \"...\"'; correct or remove it, "
                "or give the .index file to read"
            )
        return prefix


def _names(paths: list[Path]) -> str:
    listed = ", ".join(path.name for path in paths[:_MAX_LISTED])
    return f"{listed}, ..." if len(paths) > _MAX_LISTED else listed or "none"

"""Folders of single-channel images: what the file names say, by a pattern or by known words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from isl.core.errors import ConfigError, DataError
from isl.io.collect import Candidate
from isl.io.fov import Fov
from isl.io.modality import modality_of_name
from isl.io.plane_fields import PlaneImage, build_field

PLACEHOLDERS = ("fov", "channel", "z", "t", "well", "condition")
"""What may stand in braces in a pattern."""

_Z = re.compile(r"(?:z|zplane|zstack|plane|slice|depth)(\d+)", re.IGNORECASE)
_T = re.compile(r"(?:t|tp|time|timepoint|frame)(\d+)", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:ch|channel|chan)\d+", re.IGNORECASE)
_SHORT_NUMBERED = re.compile(r"[cw]\d{1,2}", re.IGNORECASE)
_NUMBER_AND_WORD = re.compile(r"(?:ch|channel|c|w)\d{1,2}([a-z].*)", re.IGNORECASE)
_WELL = re.compile(r"[A-P]\d{2}")
_ONLY_CHANNEL = "image"


@dataclass(frozen=True)
class _Tokens:
    """Words of a name, sorted by what they mean."""

    channel: tuple[str, ...]
    rest: tuple[str, ...]
    z: int | None = None
    t: int | None = None


def pattern_fields(root: Path, files: Iterable[Path], pattern: str) -> list[Candidate]:
    """Group image files into fields by a pattern.

    Parameters
    ----------
    root
        Folder that was opened; with a slash in the pattern, names are taken relative to it.
    files
        Image files below it.
    pattern
        For example ``"{fov}_{channel}_z{z}_t{t}.tif"``. Placeholders are those of `PLACEHOLDERS`;
        ``{z}`` and ``{t}`` stand for digits. Files that do not match are left out.

    Returns
    -------
    list of Candidate
        One for each field.

    Raises
    ------
    ConfigError
        Where the pattern has an unknown placeholder or none for the channel.
    DataError
        Where no file matches.
    """
    expression = _compile(pattern)
    images = []
    for file in sorted(files):
        relative = file.relative_to(root).as_posix()
        folder, name = ("", relative) if "/" in pattern else _split(relative)
        match = expression.fullmatch(name)
        if match:
            images.append(_matched(file, folder, match.groupdict()))
    if not images:
        raise DataError(
            f"{root}: no image file matches the pattern '{pattern}'; "
            "change the pattern, or leave it out to let the names be guessed"
        )
    return _candidates(root, images)


def _compile(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w*)\}", pattern)
    names = parts[1::2]
    unknown = [n for n in names if n not in PLACEHOLDERS]
    if unknown or "channel" not in names or len(set(names)) < len(names):
        raise ConfigError(
            f"the pattern '{pattern}' needs {{channel}} and may have each of "
            f"{', '.join('{' + p + '}' for p in PLACEHOLDERS)} once"
            + (f"; it has {{{unknown[0]}}}" if unknown else "")
        )
    text = "".join(
        re.escape(part) if i % 2 == 0 else f"(?P<{part}>{r'[0-9]+' if part in 'zt' else '[^/]+?'})"
        for i, part in enumerate(parts)
    )
    return re.compile(text)


def _split(relative: str) -> tuple[str, str]:
    path = PurePosixPath(relative)
    folder = path.parent.as_posix()
    return ("" if folder == "." else folder), path.name


def _matched(file: Path, folder: str, found: dict[str, str | None]) -> PlaneImage:
    z, t = found.get("z"), found.get("t")
    name = found.get("fov") or "_".join(filter(None, (found.get("condition"), found.get("well"))))
    return PlaneImage(
        path=file,
        fov="/".join(filter(None, (folder, name))) or file.parent.name,
        channel=found["channel"] or "",
        z=None if z is None else int(z),
        t=None if t is None else int(t),
        well=found.get("well"),
        condition=found.get("condition"),
    )


def named_fields(root: Path, files: Iterable[Path]) -> list[Candidate]:
    """Group image files into fields by the words in their names.

    Words for dyes, markers and modalities and tokens such as ``ch3``, ``channel2``, ``c1`` name
    the channel, ``z03`` the plane, ``t001`` the time point; the rest, with the folder, names the
    field. Where no name has a channel but the folders are named by one, these count. The rules
    are conservative: what they do not know stays in the name of the field.

    Parameters
    ----------
    root
        Folder that was opened.
    files
        Image files below it.

    Returns
    -------
    list of Candidate
        One for each field.
    """
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for file in sorted(files):
        by_folder[file.parent].append(file)
    images = [i for group in by_folder.values() for i in _folder_images(root, group)]
    return _candidates(root, images)


def channel_of_name(file_name: str) -> str:
    """Channel by the words of one file name, else ``image``.

    Examples
    --------
    >>> channel_of_name("test_phase.tif")
    'phase'
    """
    return "_".join(_tokens(file_name.split(".")[0]).channel) or _ONLY_CHANNEL


def _folder_images(root: Path, files: Sequence[Path]) -> list[PlaneImage]:
    """Images of one folder, whose names are read together."""
    tokens = {file: _tokens(file.name.split(".")[0]) for file in files}
    tokens = _with_words(tokens)
    folder = files[0].parent
    parents = folder.relative_to(root).parts
    named = any(t.channel for t in tokens.values())
    of_folder = parents[-1:] if parents and modality_of_name(parents[-1]) else ()
    if not named and of_folder:
        tokens = {f: replace(t, channel=of_folder) for f, t in tokens.items()}
        parents = parents[:-1]
    return [
        PlaneImage(
            path=file,
            fov="/".join(filter(None, (*parents, "_".join(t.rest)))) or root.name,
            channel="_".join(t.channel) or _ONLY_CHANNEL,
            z=t.z,
            t=t.t,
            well=next((r for r in t.rest if _WELL.fullmatch(r)), None),
        )
        for file, t in tokens.items()
    ]


def _tokens(stem: str) -> _Tokens:
    words = [w for w in re.split(r"[_\-\s,]+", stem) if w]
    known = [_is_channel_word(w) for w in words]
    numbered = [bool(_NUMBERED.fullmatch(w)) for w in words]
    if not any(known) and not any(numbered):
        numbered = [bool(_SHORT_NUMBERED.fullmatch(w)) for w in words]
    channel: list[str] = []
    rest: list[str] = []
    found: dict[str, int] = {}
    for word, is_known, is_numbered in zip(words, known, numbered, strict=True):
        z, t = _Z.fullmatch(word), _T.fullmatch(word)
        if is_known or is_numbered:
            channel.append(word)
        elif z and "z" not in found:
            found["z"] = int(z[1])
        elif t and "t" not in found:
            found["t"] = int(t[1])
        else:
            rest.append(word)
    return _Tokens(tuple(channel), tuple(rest), found.get("z"), found.get("t"))


def _is_channel_word(word: str) -> bool:
    """Whether a word names a channel; a bare number such as 488 may as well count fields."""
    joined = _NUMBER_AND_WORD.fullmatch(word)
    return not word.isdigit() and (
        modality_of_name(word) is not None
        or (joined is not None and modality_of_name(joined[1]) is not None)
    )


def _with_words(tokens: dict[Path, _Tokens]) -> dict[Path, _Tokens]:
    """Let an unknown last word join the number of its channel (``channel2_cdc``).

    Only where each numbered channel of the folder always has the same word and no two have the
    same: else the word names the field.
    """
    words: dict[tuple[str, ...], set[str | None]] = defaultdict(set)
    for t in tokens.values():
        if len(t.channel) == 1 and _NUMBERED.fullmatch(t.channel[0]):
            words[t.channel].add(t.rest[-1] if t.rest and t.rest[-1].isalpha() else None)
    joined = set().union(*words.values())
    one_each = all(len(w) == 1 for w in words.values()) and len(joined) == len(words)
    if not one_each or None in joined or len({t.channel for t in tokens.values()} - {()}) < 2:
        return tokens
    return {
        f: _Tokens((*t.channel, t.rest[-1]), t.rest[:-1], t.z, t.t) if t.channel in words else t
        for f, t in tokens.items()
    }


def _candidates(root: Path, images: Sequence[PlaneImage]) -> list[Candidate]:
    groups: dict[str, list[PlaneImage]] = {}
    for image in images:
        groups.setdefault(image.fov, []).append(image)
    return [
        Candidate(n, partial(_open_field, root, n, group), tuple(i.path for i in group))
        for n, group in groups.items()
    ]


def _open_field(root: Path, name: str, images: Sequence[PlaneImage]) -> list[Fov]:
    folders = {i.path.parent for i in images}
    return [build_field(name, folders.pop() if len(folders) == 1 else root, images)]

"""The list of objects of a public bucket, over the XML interface of Google Cloud Storage and S3."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from xml.etree import ElementTree

from isl.core.errors import DataError

ReadAddress = Callable[[str, Mapping[str, str]], bytes]
"""Fetches an address with a query."""


@dataclass(frozen=True)
class RemoteFile:
    """One object of a bucket.

    Attributes
    ----------
    key
        Its name, with ``/`` between folders.
    size
        Bytes; None where that is not known.
    md5
        32 hexadecimal digits; None where the bucket does not tell: an object that was sent in parts
        has none.
    """

    key: str
    size: int | None = None
    md5: str | None = None


def list_bucket(read: ReadAddress, bucket: str, prefix: str) -> list[RemoteFile]:
    """List the objects whose keys begin with a prefix, however many pages they fill.

    Parameters
    ----------
    read
        What fetches a page.
    bucket
        Address of the bucket.
    prefix
        Beginning of the keys.

    Returns
    -------
    list of RemoteFile
        In the order of the bucket; entries that only stand for folders are left out.

    Raises
    ------
    DataError
        Where the answer is no list of objects, or a key would lead out of the folder it belongs to.
    """
    files: list[RemoteFile] = []
    for page in _pages(read, bucket, {"prefix": prefix}):
        for entry in page.findall("{*}Contents"):
            file = _remote_file(entry, bucket)
            if not file.key.endswith("/"):
                _refuse_unsafe(file.key, bucket)
                files.append(file)
    return files


def is_inside(path: str) -> bool:
    """Whether a relative path with forward slashes stays below the folder it starts from.

    Examples
    --------
    >>> is_inside("a/b.png"), is_inside("../b.png"), is_inside("/b.png")
    (True, False, False)
    """
    parts = PurePosixPath(path).parts
    return bool(parts) and not (
        path.startswith("/") or ".." in parts or re.search(r"[\\:\x00-\x1f]", path)
    )


def _pages(
    read: ReadAddress, bucket: str, query: Mapping[str, str]
) -> Iterator[ElementTree.Element]:
    more: dict[str, str] = {}
    while True:
        page = _parse(read(bucket, {**query, **more}), bucket)
        yield page
        following = _following(page)
        if following is None:
            return
        if following == more:
            raise DataError(
                f"{bucket} lists the same page of files again and again; try again later, or "
                "another --mirror"
            )
        more = following


def _parse(body: bytes, bucket: str) -> ElementTree.Element:
    try:
        page = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        page = ElementTree.Element("nothing")
    if page.tag.rpartition("}")[2] != "ListBucketResult":
        raise DataError(
            f"{bucket} does not answer with a list of its files: a network that asks for a login "
            "may have answered in its place, or --mirror is no bucket; open the address in a "
            "browser to see"
        )
    return page


def _following(page: ElementTree.Element) -> dict[str, str] | None:
    """What asks for the next page; None at the end."""
    if page.findtext("{*}IsTruncated", "false").strip() != "true":
        return None
    if token := page.findtext("{*}NextContinuationToken"):
        return {"list-type": "2", "continuation-token": token}
    marker = page.findtext("{*}NextMarker")
    keys = [key.text or "" for key in page.findall("{*}Contents/{*}Key")]
    return {"marker": marker or (keys[-1] if keys else "")}


def _remote_file(entry: ElementTree.Element, bucket: str) -> RemoteFile:
    key, size = entry.findtext("{*}Key"), entry.findtext("{*}Size", "")
    if not key:
        raise DataError(f"{bucket} lists a file without a name; try another --mirror")
    tag = entry.findtext("{*}ETag", "").strip('"').lower()
    return RemoteFile(
        key,
        size=int(size) if size.isdigit() else None,
        md5=tag if re.fullmatch(r"[0-9a-f]{32}", tag) else None,
    )


def _refuse_unsafe(key: str, bucket: str) -> None:
    if not is_inside(key):
        raise DataError(
            f"{bucket} lists '{key}', which would be written outside of the folder; "
            "nothing was fetched, try another --mirror"
        )

"""Which files belong to a set, and where each of them lies."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from isl.core.errors import ConfigError
from isl.io.download_http import HttpClient
from isl.io.download_listing import RemoteFile, list_bucket
from isl.io.download_sets import PublishedSet, bucket_address, file_address, find_set
from isl.io.download_state import Retries


@dataclass(frozen=True)
class DownloadPlan:
    """What belongs to a set, and where it lies.

    Attributes
    ----------
    published
        The set.
    bucket
        Address of the bucket.
    files
        Objects to fetch: the archive, or all files that were asked for.
    """

    published: PublishedSet
    bucket: str
    files: tuple[RemoteFile, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Address of each file."""
        return tuple(file_address(self.bucket, file.key) for file in self.files)

    @property
    def size(self) -> int | None:
        """Bytes of all files; None where that is not known before they are fetched."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)


def plan_download(
    name: str,
    *,
    include: Sequence[str] = (),
    mirror: str | None = None,
    retries: Retries | None = None,
) -> DownloadPlan:
    """Find out what there is to fetch; asks the server for the list of files where a set is many.

    Parameters
    ----------
    name
        Name of a set.
    include
        Patterns such as ``*scott_1_0*``, of which one has to fit the path below the set.
    mirror
        Address to use in place of the public bucket.
    retries
        When to give up.

    Returns
    -------
    DownloadPlan
        What to hand to `download`.

    Raises
    ------
    ConfigError
        Where there is no such set, no file fits, or the set cannot be narrowed.
    DownloadError
        Where the server cannot be reached, or does not list the files.
    """
    published, bucket = find_set(name), bucket_address(mirror)
    if published.is_archive:
        if include:
            raise ConfigError(f"{name} is one archive, which --include cannot narrow; leave it out")
        return DownloadPlan(published, bucket, (RemoteFile(published.key),))
    with HttpClient(retries) as client:
        files = list_bucket(client.read, bucket, published.key)
    chosen = [f for f in files if _is_included(published.file_name(f.key), include)]
    if not chosen:
        example = f"such as '{published.file_name(files[0].key)}'" if files else "at all"
        raise ConfigError(
            f"{bucket} has {len(files)} files of {name}, {example}, and none fits "
            f"{' or '.join(include) or 'the set'}; change --include or --mirror"
        )
    return DownloadPlan(published, bucket, tuple(chosen))


def _is_included(name: str, include: Sequence[str]) -> bool:
    return not include or any(fnmatch.fnmatchcase(name, pattern) for pattern in include)

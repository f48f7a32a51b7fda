"""The published image sets and weights (2018): what there is, and where it lies.

The test and train sets are the single-channel ones. The multi-channel sets of the same wells show
all stains of a well in one colour composite, from which the single stains cannot be told again.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from isl.core.errors import ConfigError

PUBLIC_ADDRESS = "https://storage.googleapis.com/in-silico-labeling"
"""Where the bucket of the paper is read without an account."""

LICENCE = "CC BY 4.0"


@dataclass(frozen=True)
class PublishedSet:
    """One set that can be fetched.

    Attributes
    ----------
    name
        What a user types, and the folder that is made.
    key
        Key in the bucket: of the archive, or ending in ``/`` the prefix of all files of the set.
    holds
        What it is, in a few words.
    size
        How much it is, as far as it is published.
    """

    name: str
    key: str
    holds: str
    size: str
    licence: str = LICENCE

    @property
    def is_archive(self) -> bool:
        """Whether the set is one zip archive, not a folder of files."""
        return not self.key.endswith("/")

    def file_name(self, key: str) -> str:
        """Path of a file below the folder of the set, with forward slashes."""
        return key.rpartition("/")[2] if self.is_archive else key.removeprefix(self.key)


_SETS = (
    PublishedSet("isl2018-sample", "data_sample.zip", "images of a few wells", "2 GB"),
    PublishedSet(
        "isl2018-checkpoint", "checkpoints.zip", "weights trained on conditions A to D", "not known"
    ),
    PublishedSet(
        "isl2018-test",
        "paper_data/test_single_channel_images/",
        "test images of conditions A to E and their published predictions",
        "see --dry-run",
    ),
    PublishedSet(
        "isl2018-train",
        "paper_data/train_single_channel_images/",
        "training images of conditions A to E and their published predictions",
        "see --dry-run",
    ),
)
SETS = {published.name: published for published in _SETS}
"""The sets by name."""


def find_set(name: str) -> PublishedSet:
    """Look up a set.

    Raises
    ------
    ConfigError
        Where there is none of that name; the message lists all, with sizes and licences.

    Examples
    --------
    >>> find_set("isl2018-sample").key
    'data_sample.zip'
    """
    if name in SETS:
        return SETS[name]
    listed = "\n".join(f"  {s.name}: {s.holds} ({s.size}; {s.licence})" for s in _SETS)
    raise ConfigError(f"there is no data set '{name}'; choose one of\n{listed}")


def bucket_address(mirror: str | None) -> str:
    """Address of the bucket, or of a mirror of it, without a slash at its end.

    Raises
    ------
    ConfigError
        Where a mirror is not an http or https address.
    """
    if mirror is None:
        return PUBLIC_ADDRESS
    parts = urlsplit(mirror)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(
            f"the mirror '{mirror}' is no address; give one such as https://example.org/bucket"
        )
    return mirror.rstrip("/")


def file_address(bucket: str, key: str) -> str:
    """Address of one file of a bucket; what an address cannot hold is escaped.

    Examples
    --------
    >>> file_address("https://example.org/b", "a/well-A4,is mask.png")
    'https://example.org/b/a/well-A4%2Cis%20mask.png'
    """
    return f"{bucket}/{quote(key)}"

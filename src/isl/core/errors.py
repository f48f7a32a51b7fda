"""The error tree: a message says what was asked, what was found and what to do.

::

    IslError
    ├── ConfigError        (ValueError)   a setting or a combination of settings makes no sense
    ├── DataError          (ValueError)   images that cannot be used as they are
    │   ├── MissingPlaneError             a time point lacks a plane that others have
    │   ├── DuplicateImageError           two files claim the same plane, channel and time
    │   ├── ImageSizeError                images of one field differ in size
    │   ├── BlankImageError               NaN, infinite or constant pixels where an image is needed
    │   ├── VoxelSizeError                the voxel size is not the one the model was trained at
    │   └── LeakError                     the same pixels are trained on and held out
    ├── DamagedFileError   (OSError)      a file that is truncated or not what its name says
    ├── ChannelError       (LookupError)  a channel is unknown, double or cannot be guessed
    ├── ModelFileError     (ValueError)   a model file is damaged, foreign or too new
    ├── OutputError        (OSError)      the output exists, cannot be written, or the disk is full
    ├── ClusterError       (RuntimeError) the processes that share a run cannot be reached or used
    │   └── WorkerDiedError               a task brought down each process that worked on it
    └── MissingExtraError  (ImportError)  an optional dependency is not installed

Each class derives from a builtin too, so that ``except ValueError`` works for callers who do not
know this package.
"""

from __future__ import annotations


class IslError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(IslError, ValueError):
    """A setting or a combination of settings makes no sense."""


class DataError(IslError, ValueError):
    """Images cannot be used as they are."""


class MissingPlaneError(DataError):
    """A time point lacks a plane that others have."""


class DuplicateImageError(DataError):
    """Two files claim the same plane, channel and time point of one field of view."""


class ImageSizeError(DataError):
    """Images of one field of view differ in size."""


class BlankImageError(DataError):
    """An image holds NaN, infinite or constant pixels where content is needed."""


class VoxelSizeError(DataError):
    """The voxel size of the data is not the one that the model was trained at."""


class LeakError(DataError):
    """The same pixels are both trained on and held out."""


class DamagedFileError(IslError, OSError):
    """A file is truncated or is not what its name says."""


class ChannelError(IslError, LookupError):
    """A channel is unknown, double, or cannot be guessed."""


class ModelFileError(IslError, ValueError):
    """A model file is damaged, foreign, or newer than this program."""


class OutputError(IslError, OSError):
    """The output exists already, cannot be written, or the disk is full."""


class ClusterError(IslError, RuntimeError):
    """The processes that share a run cannot be reached or used."""


class WorkerDiedError(ClusterError):
    """A task brought down each process that worked on it."""


class MissingExtraError(IslError, ImportError):
    """An optional dependency is not installed."""

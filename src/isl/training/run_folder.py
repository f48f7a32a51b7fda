"""The folder beside a model: checkpoints, logs, previews and the resolved settings."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError, IslError, OutputError
from isl.io.staging import RUN_MARKER

_OF_THE_MACHINE = ("cache_gb", "accelerator", "devices", "nodes", "loader_threads")


@dataclass(frozen=True)
class RunFolder:
    """Files beside a model: checkpoints, logs, previews and the resolved settings."""

    path: Path

    @classmethod
    def of(cls, output: Path) -> RunFolder:
        """Folder that belongs to a model file: ``model.run`` beside ``model.isl``."""
        return cls(output.with_suffix(".run"))

    @property
    def checkpoint(self) -> Path:
        """File that a run resumes from."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def settings(self) -> Path:
        """Resolved settings."""
        return self.path / "settings.yaml"

    @property
    def marker(self) -> Path:
        """Empty file that tells this folder from one that somebody else made."""
        return self.path / RUN_MARKER

    @property
    def transfer(self) -> Path:
        """What became of the targets of the model that the run started from."""
        return self.path / "transfer.json"

    @property
    def previews(self) -> Path:
        """Folder of preview panels."""
        return self.path / "previews"


def check_output(output: Path, folder: RunFolder, resume: bool, overwrite: bool) -> None:
    """Refuse, before any work, what would fail or destroy something at the end."""
    if output.suffix != ".isl":
        raise OutputError(f"{output}: a model file is named something.isl; change --output")
    if not output.absolute().parent.is_dir():
        raise OutputError(
            f"{output}: the folder {output.absolute().parent} does not exist; make it"
        )
    if resume and not folder.checkpoint.is_file():
        raise OutputError(f"{folder.checkpoint}: nothing to resume; train without --resume")
    remedy = "replace it with --overwrite, or choose another name"
    if folder.checkpoint.is_file():
        remedy = f"go on with --resume, {remedy}"
    for path in (output, folder.path):
        if path.exists() and not resume and not overwrite:
            raise OutputError(f"{path} exists; {remedy}")
    if folder.path.exists() and not folder.marker.is_file():
        raise OutputError(
            f"{folder.path}, where the run would keep its checkpoints and logs, was not made by a "
            "run, so it is not overwritten; move it away, or choose another --output"
        )


def prepare_folder(folder: RunFolder, config: TrainConfig, resume: bool) -> None:
    """Start a new run folder, or check that an old one was made with the same settings."""
    settings = config.model_dump(mode="json")
    if resume:
        before = yaml.safe_load(folder.settings.read_text())
        changed = sorted(k for k in settings if settings[k] != before.get(k) and not _may_change(k))
        if changed:
            raise ConfigError(
                f"{folder.settings}: the run was started with other settings: "
                + ", ".join(f"{k} {before.get(k)} (now {settings[k]})" for k in changed)
                + "; resume with the same ones, or start anew with --overwrite"
            )
    elif folder.path.exists():
        shutil.rmtree(folder.path)
    with explained(folder):
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.marker.touch()
        folder.settings.write_text(yaml.safe_dump(settings, sort_keys=False))


def _may_change(setting: str) -> bool:
    """Whether a resumed run may differ in this setting."""
    return setting.startswith(("max_", "validate_")) or setting in _OF_THE_MACHINE


@contextmanager
def kept_if_of_use(folder: RunFolder) -> Iterator[None]:
    """Remove the run folder where the run ends before there is anything to resume from."""
    try:
        yield
    except BaseException:
        if folder.marker.is_file() and not folder.checkpoint.is_file():
            shutil.rmtree(folder.path, ignore_errors=True)
        raise


@contextmanager
def explained(folder: RunFolder) -> Iterator[None]:
    """Say where the disk is full, and how to go on."""
    try:
        yield
    except IslError:
        raise
    except OSError as error:
        hint = "then go on with --resume" if folder.checkpoint.is_file() else "or write elsewhere"
        raise OutputError(
            f"{folder.path} cannot be written: {error.strerror or error}; check the disk and "
            f"permissions, {hint}"
        ) from error

"""Checkpoints that are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from isl.core.errors import DamagedFileError
from isl.io.staging import staged


class WholeCheckpoint(TorchCheckpointIO):
    """Writes a checkpoint beside the old one and renames it when it is complete.

    Lightning copies checkpoints across file systems, which leaves half of one, and not the old
    one, where the disk is full.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; raises OutputError where the disk does not take it."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with staged(Path(path), overwrite=True) as partial:
            partial.write_bytes(content.getbuffer())

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        """Read a checkpoint; raises DamagedFileError where it cannot be read."""
        try:
            return dict(super().load_checkpoint(path, *args, **options))
        except Exception as error:  # PyTorch raises many types on damaged files
            raise DamagedFileError(
                f"{path}: the checkpoint is damaged ({type(error).__name__}); train again from the "
                "start with --overwrite"
            ) from error

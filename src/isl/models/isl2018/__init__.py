"""The published network of 2018: exactly, and fast."""

from isl.models.isl2018.checkpoint import from_checkpoint

__all__ = ["from_checkpoint"]

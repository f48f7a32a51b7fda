"""Whether a run goes on with what an interrupted one has left."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isl.inference.backends.choose import available_backends
from isl.inference.fingerprint import fingerprint
from isl.inference.jobs import Job
from isl.inference.model import Model
from isl.inference.predict_settings import PredictSettings
from isl.io.output_unfinished import Unfinished

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Begun:
    """What an interrupted run has left, as another run sees it.

    Attributes
    ----------
    tasks
        Keys of its finished tasks.
    reason
        Why they are discarded; empty where the run goes on with them.
    """

    tasks: frozenset[str]
    reason: str = ""

    @classmethod
    def of(cls, found: Unfinished, wanted: Mapping[str, Any], restart: bool) -> Begun:
        """What a run with such a fingerprint does with it; begins anew in any case if asked to."""
        if restart:
            return cls(found.tasks, "as asked")
        names = ", ".join(found.differences(wanted))
        return cls(found.tasks, f"it differs in: {names}" if names else "")


def begun_backend(
    found: Unfinished, model: Model, jobs: Sequence[Job], settings: PredictSettings
) -> str | None:
    """Backend with which the same predictions were begun, so that they can go on.

    Parameters
    ----------
    found
        What an interrupted run has left.
    model, jobs, settings
        Of this run; the backend of the model does not matter.

    Returns
    -------
    str
        None where that run differs in anything else, or the backend does not work here.
    """
    name = str(found.fingerprint.get("backend"))
    if name not in available_backends():
        return None
    wanted = fingerprint(model, jobs, settings, backend=name)
    differences = set(found.differences(wanted)) & wanted.keys()
    if differences:
        return None
    logger.info("goes on with %s, as the unfinished output began", name)
    return name

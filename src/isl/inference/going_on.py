"""Whether a run goes on with what an interrupted one has left."""

from __future__ import annotations

from collections.abc import Sequence

from isl.inference.backends.choose import available_backends
from isl.inference.fingerprint import fingerprint
from isl.inference.jobs import Job
from isl.inference.model import Model
from isl.inference.predict_settings import PredictSettings
from isl.io.output_unfinished import Unfinished


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
    return None if differences else name

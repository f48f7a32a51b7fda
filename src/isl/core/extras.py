"""Import of optional dependencies, with an error that names the extra to install."""

from __future__ import annotations

import importlib
from types import ModuleType

from isl.core.errors import MissingExtraError


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module.

    Parameters
    ----------
    module
        Dotted module name.
    extra
        Name of the extra of this package that installs it.
    purpose
        What needs it, for the message: ``"reading ND2 files"``.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtraError
        Where the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs the package '{module.split('.')[0]}', which is not installed; "
            f"run: pip install 'in-silico-labeling[{extra}]'"
        ) from error

import inspect

import pytest

from isl.core import errors
from isl.core.extras import require

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_ours_and_drawn_in_the_tree(cls):
    assert issubclass(cls, errors.IslError)
    assert cls.__name__ in errors.__doc__


def test_missing_extra_names_the_command():
    with pytest.raises(errors.MissingExtraError, match=r"in-silico-labeling\[formats\]"):
        require("no_such_module_at_all", "formats", "reading ND2 files")

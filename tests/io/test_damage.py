from pathlib import Path

import pytest

from isl.core.errors import DamagedFileError, DataError
from isl.io.damage import naming_damage


def test_a_long_reason_is_cut():
    with pytest.raises(DamagedFileError) as caught, naming_damage(Path("a.x"), "an image"):
        raise ValueError("no reader takes this, but there are many others " * 20)
    text = str(caught.value)
    assert text.startswith("a.x: cannot be read as an image")
    assert "(ValueError: no reader takes this" in text
    assert "copy it again" in text
    assert len(text) < 300


@pytest.mark.parametrize("error", [FileNotFoundError(), PermissionError()])
def test_a_file_out_of_reach_is_not_damaged(error):
    with (
        pytest.raises(DataError, match=r"a\.x: .*; (check|change)"),
        naming_damage(Path("a.x"), "an image"),
    ):
        raise error

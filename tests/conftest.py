"""Fixtures that many tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no bug: how long an example takes is not tested here.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

SHARED_DATA = Path(__file__).parent.parent.parent / "shared" / "data"
SHARED_REFERENCE = SHARED_DATA.parent / "reference" / "isl2018_checkpoint"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is measured once for a machine is not kept beyond the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real paired images; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("ISL_DATA", SHARED_DATA))
    if not folder.is_dir():
        pytest.skip("needs the real images of ../shared/data or $ISL_DATA, which are absent")
    return folder


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder of a checkpoint of the published network and what it computes; else a skip."""
    folder = Path(os.environ.get("ISL_REFERENCE", SHARED_REFERENCE))
    if not folder.is_dir():
        pytest.skip("needs ../shared/reference/isl2018_checkpoint or $ISL_REFERENCE, absent")
    return folder

import errno

import pytest

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError, DataError, OutputError
from isl.training.run_folder import (
    RunFolder,
    check_output,
    explained,
    kept_if_of_use,
    prepare_folder,
)


@pytest.fixture
def folder(tmp_path):
    return RunFolder.of(tmp_path / "m.isl")


def interrupted(folder):
    with pytest.raises(KeyboardInterrupt), kept_if_of_use(folder):
        raise KeyboardInterrupt


def test_a_run_that_ends_early_leaves_nothing(folder):
    prepare_folder(folder, TrainConfig(), resume=False)
    assert folder.settings.is_file()
    interrupted(folder)
    assert not folder.path.exists()


def test_a_run_that_can_be_resumed_is_kept(folder):
    prepare_folder(folder, TrainConfig(), resume=False)
    folder.checkpoint.parent.mkdir()
    folder.checkpoint.touch()
    interrupted(folder)
    assert folder.checkpoint.is_file()


def test_a_folder_of_somebody_else_is_never_replaced(folder, tmp_path):
    folder.path.mkdir()
    (folder.path / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"m\.run"):
            check_output(tmp_path / "m.isl", folder, resume=False, overwrite=overwrite)
    interrupted(folder)
    assert (folder.path / "thesis.txt").read_text() == "mine"


def test_a_file_in_place_of_the_folder(folder, tmp_path):
    folder.path.write_text("mine")
    with pytest.raises(OutputError, match="not made by a run"):
        check_output(tmp_path / "m.isl", folder, resume=False, overwrite=True)


def test_resuming_is_offered_only_where_it_is_possible(folder, tmp_path):
    prepare_folder(folder, TrainConfig(), resume=False)
    with pytest.raises(OutputError, match=r"m\.run exists; replace it with --overwrite"):
        check_output(tmp_path / "m.isl", folder, resume=False, overwrite=False)
    folder.checkpoint.parent.mkdir()
    folder.checkpoint.touch()
    with pytest.raises(OutputError, match=r"m\.run exists; go on with --resume, replace"):
        check_output(tmp_path / "m.isl", folder, resume=False, overwrite=False)


def test_a_full_disk_is_explained(folder):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OutputError, match=r"m\.run cannot be written: No space"), explained(folder):
        raise full
    with pytest.raises(DataError), explained(folder):
        raise DataError("other errors pass")


def test_a_run_may_go_on_on_another_machine(tmp_path):
    folder = RunFolder.of(tmp_path / "m.isl")
    prepare_folder(folder, TrainConfig(), resume=False)
    other = TrainConfig(devices=2, nodes=2, loader_threads=5, accelerator="cpu", cache_gb=1.0)
    prepare_folder(folder, other, resume=True)
    with pytest.raises(ConfigError, match="seed 0"):
        prepare_folder(folder, TrainConfig(seed=1), resume=True)

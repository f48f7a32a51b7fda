import pytest
import torch

from isl.core.errors import DamagedFileError, OutputError
from isl.training.checkpoint import WholeCheckpoint


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "checkpoints" / "last.ckpt"
    WholeCheckpoint().save_checkpoint({"step": 3, "weights": torch.ones(5)}, path)
    return path


def test_round_trip(path):
    loaded = WholeCheckpoint().load_checkpoint(path)
    assert loaded["step"] == 3
    assert torch.equal(loaded["weights"], torch.ones(5))


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(path, monkeypatch):
    def full(self, content):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OutputError, match="the disk is full"):
        WholeCheckpoint().save_checkpoint({"step": 4}, path)
    assert WholeCheckpoint().load_checkpoint(path)["step"] == 3
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("keep", [0, 10, 500])
def test_a_damaged_checkpoint_is_named(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        DamagedFileError, match=r"last\.ckpt: the checkpoint is damaged.*--overwrite"
    ):
        WholeCheckpoint().load_checkpoint(path)

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from two_processes import NETWORKS, computed

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.training.processes import distributed
from isl.training.processes.distributed import (
    check_division,
    check_one_device,
    from_first,
    is_connection_error,
    is_first_process,
    largest,
    own_share,
    total,
)

SLURM = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1"}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes say that share a batch."""
    folder = tmp_path_factory.mktemp("two")
    script = Path(__file__).parent / "two_processes.py"
    processes = [
        subprocess.Popen(
            [sys.executable, script, str(rank), folder / "store", folder / f"{rank}.pt"]
        )
        for rank in (0, 1)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def test_what_processes_tell_each_other(two):
    for said in two:
        assert said["total"].tolist() == [2.0, 1.0]
        assert said["from_first"] == 3.5
        assert said["largest"] == 3
    assert [said["share"] for said in two] == [slice(0, 2), slice(2, 4)]


@pytest.mark.parametrize("name", NETWORKS)
def test_two_processes_compute_what_one_does_with_the_whole_batch(two, name):
    loss, gradients, state = computed(name, slice(None))
    for said in two:
        found_loss, found_gradients, found_state = said[name]
        torch.testing.assert_close(found_loss, loss, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found_gradients, gradients, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found_state, state, rtol=1e-5, atol=1e-6)


def test_alone_there_is_nothing_to_tell():
    values = torch.ones(2, requires_grad=True)
    assert total(values).tolist() == [1.0, 1.0]
    assert not total(values).requires_grad
    assert from_first(2.5, torch.device("cpu")) == 2.5
    assert largest(7, torch.device("cpu")) == 7
    assert own_share(5) == slice(0, 5)


@pytest.mark.parametrize("processes", [1, 2, 3, 6])
def test_every_patch_belongs_to_one_process(monkeypatch, processes):
    monkeypatch.setattr(distributed, "process_count", lambda: processes)
    taken = []
    for index in range(processes):
        monkeypatch.setattr(distributed, "process_index", lambda index=index: index)
        taken += range(12)[own_share(12)]
    assert taken == list(range(12))


@pytest.mark.parametrize(
    ("settings", "variables", "first"),
    [
        ({}, {"LOCAL_RANK": "1", "RANK": "1"}, True),
        ({"devices": 2}, {}, True),
        ({"devices": 2}, {"LOCAL_RANK": "1"}, False),
        ({"nodes": 2}, {"NODE_RANK": "1", "LOCAL_RANK": "0"}, False),
        ({"nodes": 2}, SLURM | {"SLURM_PROCID": "1"}, False),
        ({"nodes": 2}, SLURM | {"SLURM_PROCID": "0"}, True),
    ],
)
def test_one_process_reports(monkeypatch, settings, variables, first):
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_NTASKS", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first_process(TrainConfig(**settings)) is first


def test_a_job_that_does_not_fit_is_explained(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE", raising=False)
    with pytest.raises(ConfigError, match="--ntasks-per-node=2"):
        is_first_process(TrainConfig(nodes=2))


def test_crops_are_not_divided():
    published = {"network": "isl2018", "batch_size": 12}
    check_division(TrainConfig(**published, devices=3), 4)
    check_division(TrainConfig(batch_size=5), 1)
    with pytest.raises(
        ConfigError, match="in crops of 4 among 2 devices; make it a multiple of 8, such as 16"
    ):
        check_division(TrainConfig(**published, devices=2), 4)


def test_a_lost_connection_is_told_from_other_errors(monkeypatch):
    lost = RuntimeError("Connection closed by peer")
    assert not is_connection_error(lost)
    monkeypatch.setattr(distributed, "process_count", lambda: 2)
    assert is_connection_error(lost)
    assert not is_connection_error(RuntimeError("out of memory"))


def test_what_trains_several_models_uses_one_device():
    check_one_device(TrainConfig(), "a search")
    with pytest.raises(ConfigError, match="a search uses one device"):
        check_one_device(TrainConfig(devices=2), "a search")
    with pytest.raises(ConfigError, match="a search uses one device"):
        check_one_device(TrainConfig(nodes=2), "a search")

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isl.core.errors import ConfigError
from isl.inference.cluster_plan import (
    LocalProcesses,
    Scheduler,
    cuda_devices,
    parse_cluster,
    plan_workers,
)


def test_local_processes_are_counted():
    assert parse_cluster("local:4") == LocalProcesses(4)
    assert parse_cluster("local") == LocalProcesses(None)


@pytest.mark.parametrize("address", ["tcp://host:8786", "tls://10.0.0.1:1234", "tcp://[::1]:8786"])
def test_address_of_a_scheduler(address):
    assert parse_cluster(address) == Scheduler(address=address)


def test_file_of_a_scheduler(tmp_path):
    path = tmp_path / "scheduler.json"
    path.touch()
    assert parse_cluster(str(path)) == Scheduler(file=path)


@pytest.mark.parametrize(
    "text",
    ["", "local:0", "local:-1", "local:2.5", "local:x", "4", "a b"],
)
def test_anything_else_is_refused_with_the_choices(text):
    with pytest.raises(ConfigError, match=r"local:4.*tcp://host:8786.*\.json"):
        parse_cluster(text)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("host:8786", "write tcp://host:8786"),
        ("127.0.0.1:80", "write tcp://127.0.0.1:80"),
        ("tcp://host", "port is missing; tcp://host:8786"),
        ("tls://host/", "port is missing; tls://host:8786"),
    ],
)
def test_half_an_address_is_completed(text, remedy):
    with pytest.raises(ConfigError, match=remedy):
        parse_cluster(text)


def test_absent_scheduler_file_says_how_to_make_one(tmp_path):
    path = tmp_path / "scheduler.json"
    with pytest.raises(ConfigError, match="dask scheduler --scheduler-file") as caught:
        parse_cluster(str(path))
    assert str(path) in str(caught.value)


@given(
    count=st.integers(1, 64),
    cores=st.integers(1, 128),
    memory=st.integers(1 << 20, 1 << 40),
    devices=st.integers(0, 8),
)
def test_the_machine_is_divided_and_never_overcommitted(count, cores, memory, devices):
    names = tuple(f"GPU-{i}" for i in range(devices))
    plans = plan_workers(count, cores, memory, names)
    assert len(plans) == count
    assert sum(plan.memory_bytes for plan in plans) <= memory
    assert all(plan.threads >= 1 for plan in plans)
    assert sum(plan.threads for plan in plans) <= max(cores, count)
    used = [plan.device for plan in plans]
    assert set(used) == (set(names[:count]) if names else {None})
    if names:
        counts = [used.count(name) for name in names]
        assert max(counts) - min(counts) <= 1


def test_one_process_for_each_gpu_or_for_four_cores():
    assert len(plan_workers(None, 16, 1 << 34, ("0", "1", "2"))) == 3
    assert [plan.threads for plan in plan_workers(None, 16, 1 << 34)] == [4] * 4
    assert [plan.threads for plan in plan_workers(None, 2, 1 << 34)] == [2]


def test_environment_sets_threads_and_device():
    (plan,) = plan_workers(1, 6, 1 << 34, ("3",))
    environment = plan.environment
    assert environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert environment["ISL_THREADS"] == environment["OMP_NUM_THREADS"] == "6"
    assert "CUDA_VISIBLE_DEVICES" not in plan_workers(1, 6, 1 << 34)[0].environment


def test_devices_are_those_that_this_process_sees(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert cuda_devices() == ("0", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert cuda_devices() == ("5", "7")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cuda_devices() == ()

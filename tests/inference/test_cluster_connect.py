import json
import os

import pytest
from cluster_work import Sleeps, Square
from distributed import LocalCluster

from isl.core.errors import ClusterError
from isl.inference import cluster_window
from isl.inference.cluster import open_pool
from isl.inference.cluster_connect import check_versions, quiet
from isl.inference.cluster_worker import set_threads

pytestmark = pytest.mark.concurrent

PACKAGES = {
    "python": "3.11.7.final.0",
    "distributed": "2026.8.0",
    "in-silico-labeling": "0.1.0",
}


def versions():
    workers = {f"tcp://node:{i}": {"packages": dict(PACKAGES)} for i in (1, 2)}
    client, scheduler = {"packages": dict(PACKAGES)}, {"packages": dict(PACKAGES)}
    return {"client": client, "scheduler": scheduler, "workers": workers}


@pytest.fixture
def running(monkeypatch):
    """A scheduler with one worker that is a thread of this process, so that it starts at once."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    with (
        quiet(),
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": ":0"},  # the usual port may be taken
        ) as cluster,
    ):
        yield cluster


def with_package(name, version):
    found = versions()
    found["workers"]["tcp://node:2"]["packages"][name] = version
    return found


def test_same_versions_are_fine():
    check_versions(versions())
    check_versions(with_package("python", "3.11.9.final.0"))
    check_versions(with_package("msgpack", "1.0"))


@pytest.mark.parametrize(
    ("name", "version"),
    [("python", "3.12.0.final.0"), ("distributed", "2025.1.0"), ("in-silico-labeling", "0.2.0")],
)
def test_other_version_names_worker_and_both_versions(name, version):
    with pytest.raises(ClusterError, match="worker tcp://node:2 has") as caught:
        check_versions(with_package(name, version))
    assert ".".join(version.split(".")[:2]) in str(caught.value)


def test_worker_without_this_package_says_how_to_install_it():
    with pytest.raises(ClusterError, match=r"has no package.*pip install"):
        check_versions(with_package("in-silico-labeling", None))


def test_scheduler_needs_no_isl_but_the_same_dask():
    found = versions()
    found["scheduler"]["packages"]["in-silico-labeling"] = None
    check_versions(found)
    found["scheduler"]["packages"]["distributed"] = "2025.1.0"
    with pytest.raises(ClusterError, match=r"the scheduler has distributed 2025\.1\.0"):
        check_versions(found)


def test_scheduler_file_leads_to_the_scheduler(running, tmp_path):
    path = tmp_path / "scheduler.json"
    path.write_text(json.dumps({"address": running.scheduler_address}))
    with open_pool(str(path)) as pool:
        assert pool.workers == 1
        assert dict(pool.run(Square(tmp_path), [1, 2, 3])) == {1: 1, 2: 4, 3: 9}


@pytest.mark.parametrize("text", ["", "{}", "not json"])
def test_damaged_scheduler_file_is_named(tmp_path, text):
    path = tmp_path / "scheduler.json"
    path.write_text(text)
    with pytest.raises(ClusterError, match=r"scheduler\.json"), open_pool(str(path), connect_s=1):
        pass


def test_scheduler_without_workers_is_waited_for_in_vain(running):
    running.scale(0)
    running.sync(running._correct_state)
    with (
        pytest.raises(ClusterError, match=r"no worker has come for 0 s; start some with 'dask w"),
        open_pool(running.scheduler_address, wait_s=0.3),
    ):
        pass


@pytest.fixture
def without_workers(running, tmp_path):
    """Runs until some time has passed since the only worker has gone."""

    def run(wait_s):
        with open_pool(running.scheduler_address, wait_s=wait_s) as pool:
            results = pool.run(Sleeps(tmp_path, seconds=0.2), list(range(50)))
            next(results)
            running.scale(0)
            list(results)

    return run


def test_workers_that_go_for_good_end_the_run(without_workers):
    with pytest.raises(ClusterError, match="has had no worker"):
        without_workers(0.5)


def test_a_run_says_that_it_waits_for_workers(without_workers, monkeypatch, caplog):
    monkeypatch.setattr(cluster_window, "SAY_S", 0.2)
    with pytest.raises(ClusterError, match="has had no worker"):
        without_workers(2)
    said = [each.message for each in caplog.records if "no worker is left" in each.message]
    assert said == ["no worker is left; waiting up to 2 s for one to come back"]


def test_certificates_that_nobody_named_are_asked_for():
    wanted = pytest.raises(ClusterError, match=r"tls://127\.0\.0\.1:9 wants certificates")
    with wanted, open_pool("tls://127.0.0.1:9", connect_s=1):
        pass


def test_scheduler_that_goes_ends_the_run(running, tmp_path):
    with open_pool(running.scheduler_address) as pool:
        results = pool.run(Sleeps(tmp_path, seconds=0.2), list(range(50)))
        next(results)
        running.close()
        with pytest.raises(ClusterError, match="connection to the scheduler was lost"):
            list(results)


def test_threads_reach_torch_when_it_is_loaded(monkeypatch):
    import torch

    before = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    try:
        set_threads(3)
        assert torch.get_num_threads() == 3
        assert os.environ["OMP_NUM_THREADS"] == "3"
    finally:
        torch.set_num_threads(before)

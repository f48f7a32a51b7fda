"""Tasks done by other processes."""

from __future__ import annotations

import errno
import os
import pickle
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from inference_scene import make_model
from test_resume import tree

from isl.core.errors import ConfigError, OutputError
from isl.inference.predict import plan_fovs, predict_fovs
from isl.inference.shared_work import TaskWork, check_share, share
from isl.io.open import open_fovs
from isl.io.remote_retry import Traffic

pytestmark = pytest.mark.concurrent

distributed = pytest.importorskip("distributed")


@pytest.fixture
def fovs(rng, tmp_path):
    """Three fields in TIFF files, the second of them constant."""
    folder = tmp_path / "wells"
    folder.mkdir()
    for name in "abc":
        stack = rng.integers(0, 4000, (3, 70, 90), dtype=np.uint16) * (name != "b")
        path = folder / f"{name}.tif"
        tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZYX"})
    return open_fovs(folder)


@pytest.mark.slow
def test_processes_write_the_same_bytes(fovs, tmp_path):
    model, bad = make_model(), []
    alone = predict_fovs(
        model, fovs, tmp_path / "alone.zarr", on_bad=lambda name, _: bad.append(name)
    )
    seen = []
    shared = predict_fovs(
        model,
        fovs,
        tmp_path / "shared.zarr",
        cluster="local:2",
        progress=seen.append,
        on_bad=lambda name, _: bad.append(name),
    )
    assert tree(alone.path) == tree(shared.path)
    assert shared.fields == alone.fields
    assert bad == [fovs[1].name] * 2
    assert seen[-1].done == seen[-1].total == 3


class Here:
    """A pool whose work is done by this process, on a copy as if it were another one."""

    plans = (None,)

    def run(self, work, tasks):
        again = pickle.loads(distributed.protocol.pickle.dumps(work))
        for task in tasks:
            yield task, again(task)


def test_what_came_to_other_processes_is_counted(fovs, tmp_path, monkeypatch):
    came = (Traffic(10 * i, 2.0 * i, i) for i in range(100))
    monkeypatch.setattr("isl.inference.shared_work.traffic", lambda: next(came))
    monkeypatch.setattr("isl.inference.predict.open_pool", lambda _: nullcontext(Here()))
    good = [fovs[0], fovs[2]]
    summary = predict_fovs(make_model(), good, tmp_path / "p.zarr", cluster="local:1")
    assert summary.traffic == Traffic(20, 4.0, 2)
    assert summary.waited > 0


class OneProcess:
    """A pool that remembers what it is asked for, and does nothing."""

    plans = (None,)
    work = None

    def run(self, work, tasks):
        self.work = work
        return iter(())


def test_processes_get_the_threads_and_no_more_memory_than_their_part(fovs, tmp_path):
    runner = plan_fovs(make_model(), fovs, tmp_path / "p.zarr", threads=1, memory="999TB").runner
    pool = OneProcess()
    output = SimpleNamespace(path=tmp_path / "p.zarr")
    assert not list(share(pool, runner, [], output, memory_given=True))
    assert pool.work.runner.model.threads == 1
    assert pool.work.runner.memory_bytes < 999e12


def test_a_full_disk_ends_a_task_with_words(fovs, tmp_path):
    class FullDisk:
        folder = tmp_path / ".p.zarr.partial"

        def write(self, t, box, pixels):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    plan = plan_fovs(make_model(), fovs, tmp_path / "p.zarr", memory="2GB")
    writers = dict.fromkeys(plan.runner.jobs, FullDisk())
    work = TaskWork(plan.runner, writers, own_memory=False, target=tmp_path / "p.zarr")
    with pytest.raises(OutputError, match=r"p\.zarr cannot be written: the disk is full"):
        work(plan.tasks[0])


def test_more_processes_than_the_memory_is_enough_for_are_refused(fovs, tmp_path):
    runner = plan_fovs(make_model(), fovs, tmp_path / "p.zarr", memory="2GB").runner
    check_share(runner, "local:2", memory_given=True)
    check_share(runner, "tcp://host:1", memory_given=False)
    with pytest.raises(ConfigError, match=r"local:8: for each process 250 MB .* fewer processes"):
        check_share(runner, "local:8", memory_given=False)


def test_a_model_is_sent_without_what_was_compiled(fovs):
    model = make_model()
    before = len(pickle.dumps(model))
    model.predict(fovs[0].read(fovs[0].channel_names[0]))
    assert len(pickle.dumps(model)) == before
    again = pickle.loads(pickle.dumps((model, fovs)))
    zyx = again[1][0].read(fovs[0].channel_names[0])
    np.testing.assert_array_equal(again[0].predict(zyx).image, model.predict(zyx).image)

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from isl.core.errors import ConfigError, DataError, OutputError
from isl.inference import watch as watch_module
from isl.inference.watch import watch_folder
from isl.inference.watch_settings import Clock, WatchSettings
from isl.io.open import open_fovs

pytestmark = pytest.mark.concurrent

QUICK = WatchSettings(settle_s=0.1, poll_s=0.02, patience_s=0.3, until_idle_s=0.5)
ONCE = replace(QUICK, once=True, patience_s=60.0)
PLANES = 3
SHAPE = (40, 48)


class Heard(list):
    def __call__(self, event):
        self.append(event)

    def of(self, kind):
        return [e for e in self if e.kind == kind]

    def texts(self, kind="note"):
        return "\n".join(e.text for e in self.of(kind))


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in", tmp_path / "out"


def image(seed):
    return np.random.default_rng(seed).integers(100, 4000, SHAPE, dtype=np.uint16)


def plane(folder, field, z, seed=0, channel="phase"):
    path = folder / f"{field}_{channel}_z{z}.png"
    path.write_bytes(imagecodecs.png_encode(image(seed + z)))
    return path


def stack(folder, field, planes=PLANES, seed=0, channel="phase"):
    return [plane(folder, field, z, seed, channel) for z in range(planes)]


def outputs(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


def pixels(path):
    return open_fovs(path)[0].read("DAPI")


class Meanwhile:
    """A clock on which things happen: each step some seconds after the one before.

    Time passes only while the watcher sleeps, so that nothing depends on how fast it works.
    """

    def __init__(self, *steps):
        self.steps = list(steps)
        self.due = self.steps[0][0] if steps else 0.0
        self.time = 0.0

    def sleep(self, seconds):
        self.time += seconds
        while self.steps and self.time >= self.due:
            _, step = self.steps.pop(0)
            step()
            self.due += self.steps[0][0] if self.steps else 0.0


def watch(*arguments, clock=None, **more):
    """Watch without waiting: on a clock of its own."""
    clock = clock or Meanwhile()
    return watch_folder(*arguments, clock=Clock(lambda: clock.time, clock.sleep), **more)


def test_each_field_gets_its_own_prediction_as_it_arrives(model, folders, heard):
    source, out = folders
    stack(source, "A1")
    more = [(0.08, lambda z=z: plane(source, "A2", z, 9)) for z in range(PLANES)]
    clock = Meanwhile(*more)
    summary = watch(model, source, out, QUICK, on_event=heard, clock=clock)
    assert summary.predicted == ("A1", "A2")
    assert summary.bad == summary.waiting == ()
    assert outputs(out) == ["A1.zarr", "A2.zarr"]
    stack_read = np.stack([image(9 + z) for z in range(PLANES)])
    np.testing.assert_allclose(
        pixels(out / "A2.zarr")[0], model.predict(stack_read).image[0], rtol=1e-3, atol=1e-2
    )


def test_a_field_short_of_planes_waits_and_is_told_and_predicted_once_whole(model, folders, heard):
    source, out = folders
    stack(source, "A1")
    stack(source, "A2", planes=PLANES - 1)
    late = replace(QUICK, until_idle_s=1.0)
    clock = Meanwhile((0.8, lambda: plane(source, "A2", PLANES - 1)))
    summary = watch(model, source, out, late, on_event=heard, clock=clock)
    (told,) = heard.of("bad")
    assert told.field == "A2"
    assert "1 of 3 planes of channel phase" in told.text
    assert summary.predicted == ("A1", "A2")
    assert summary.bad == ()


def test_planes_can_be_said_as_the_first_field_has_no_other(model, folders):
    source, out = folders
    stack(source, "A1", planes=2)
    summary = watch(model, source, out, replace(ONCE, planes=3))
    assert summary.predicted == ()
    assert "1 of 3 planes" in summary.waiting[0].reason


@pytest.mark.parametrize("kept", [20, 200])
def test_a_half_written_plane_is_tried_again_not_reported(model, folders, heard, kept):
    source, out = folders
    stack(source, "A1")
    half = source / "A1_phase_z1.png"
    whole = half.read_bytes()
    half.write_bytes(whole[:kept])
    settings = replace(QUICK, patience_s=30.0, until_idle_s=0.8)
    clock = Meanwhile((0.4, lambda: half.write_bytes(whole)))
    summary = watch(model, source, out, settings, on_event=heard, clock=clock)
    assert summary.predicted == ("A1",)
    assert heard.of("bad") == []


def test_a_truncated_stack_is_reported_once_patience_is_over(model, folders, heard):
    source, out = folders
    zyx = np.stack([image(z) for z in range(PLANES)])
    tifffile.imwrite(source / "A1.tif", zyx, photometric="minisblack")
    whole = (source / "A1.tif").read_bytes()
    (source / "A2.tif").write_bytes(whole[: len(whole) // 2])
    summary = watch(model, source, out, QUICK, on_event=heard, source="image")
    assert summary.predicted == ("A1",)
    (told,) = heard.of("bad")
    assert "A2.tif" in told.text
    assert [bad.name for bad in summary.bad] == [told.field]


def test_bad_fields_are_reported_once_and_do_not_stop_the_others(model, folders, heard):
    source, out = folders
    stack(source, "A1")
    for file in stack(source, "A2"):
        file.write_bytes(imagecodecs.png_encode(np.full(SHAPE, 7, np.uint16)))
    stack(source, "A3", channel="DAPI")
    summary = watch(model, source, out, QUICK, on_event=heard)
    assert summary.predicted == ("A1",)
    assert sorted(event.field for event in heard.of("bad")) == ["A2", "A3"]
    assert sorted(bad.name for bad in summary.bad) == ["A2", "A3"]


def test_a_second_call_does_nothing_again(model, folders, heard):
    source, out = folders
    stack(source, "A1")
    watch(model, source, out, ONCE)
    before = (out / "A1.zarr" / "zarr.json").stat().st_mtime_ns
    summary = watch(model, source, out, ONCE, on_event=heard)
    assert summary.predicted == ()
    assert summary.done_before == 1
    assert (out / "A1.zarr" / "zarr.json").stat().st_mtime_ns == before


def test_an_acquired_anew_field_replaces_its_prediction(model, folders, heard):
    source, out = folders
    stack(source, "A1")
    watch(model, source, out, ONCE)
    before = pixels(out / "A1.zarr")
    stack(source, "A1", seed=50)
    summary = watch(model, source, out, ONCE, on_event=heard)
    assert summary.predicted == ("A1",)
    assert "predicting again" in heard.texts()
    assert outputs(out) == ["A1.zarr"]
    assert not np.array_equal(pixels(out / "A1.zarr"), before)


def test_a_change_during_prediction_is_seen(model, folders, heard, monkeypatch):
    source, out = folders
    stack(source, "A1")
    predict = watch_module.predict_fovs
    calls = []

    def meddled(*args, **more):
        calls.append(predict(*args, **more))
        if len(calls) == 1:
            stack(source, "A1", seed=70)
        return calls[-1]

    monkeypatch.setattr(watch_module, "predict_fovs", meddled)
    summary = watch(model, source, out, QUICK, on_event=heard)
    assert len(calls) == 2
    assert summary.predicted == ("A1",)
    assert "changed while it was predicted" in heard.texts()


def test_an_attempt_at_other_pixels_is_not_gone_on_with(model, folders, monkeypatch):
    source, out = folders
    predict, restarts = watch_module.predict_fovs, []

    def failing(*args, restart=False, **more):
        restarts.append(restart)
        if len(restarts) < 3:
            raise OutputError("the disk is full")
        return predict(*args, **more)

    monkeypatch.setattr(watch_module, "predict_fovs", failing)
    for seed in (0, 0, 9):
        if seed or not restarts:
            stack(source, "A1", seed=seed)
        if len(restarts) < 2:
            with pytest.raises(OutputError, match="disk is full"):
                watch(model, source, out, ONCE)
        else:
            watch(model, source, out, ONCE)
    assert restarts == [False, False, True]
    assert outputs(out) == ["A1.zarr"]


def test_logs_of_the_microscope_are_no_news(model, folders):
    source, out = folders
    stack(source, "A1")

    def log():
        with open(source / "run.log", "a") as file:
            file.write("tick ")

    clock = Meanwhile(*[(0.05, log)] * 1000)
    summary = watch(model, source, out, QUICK, clock=clock)
    assert summary.predicted == ("A1",)
    assert clock.time < 0.05 * 1000


def test_lost_notes_are_made_up_for_by_the_outputs(model, folders, heard):
    source, out = folders
    stack(source, "A1")
    watch(model, source, out, ONCE)
    (out / ".isl-watch.json").unlink()
    (out / ".A1.zarr.partial").mkdir()
    summary = watch(model, source, out, ONCE, on_event=heard)
    assert summary.predicted == ()
    assert "has its prediction already" in heard.texts()
    assert not (out / ".A1.zarr.partial").exists()
    (out / ".isl-watch.json").write_text("{")
    shutil.rmtree(out / "A1.zarr")
    assert watch(model, source, out, ONCE).predicted == ("A1",)


def test_a_removed_prediction_is_made_again(model, folders):
    source, out = folders
    stack(source, "A1")
    watch(model, source, out, ONCE)
    shutil.rmtree(out / "A1.zarr")
    assert watch(model, source, out, ONCE).predicted == ("A1",)


def test_other_settings_for_the_same_output_are_refused(model, folders):
    source, out = folders
    stack(source, "A1")
    watch(model, source, out, ONCE)
    with pytest.raises(ConfigError, match=r"dtype was None, and is uint8.*choose another"):
        watch(model, source, out, ONCE, dtype="uint8")


def test_outputs_inside_the_watched_folder_are_not_watched(model, folders):
    source, _ = folders
    stack(source, "A1")
    for _ in range(2):
        watch(model, source, source / "out", ONCE)
    assert outputs(source / "out") == ["A1.zarr"]
    for file in source.glob("*.png"):
        file.unlink()
    assert watch(model, source, source / "out", ONCE).predicted == ()


def test_a_share_that_disappears_is_waited_for(model, folders, heard):
    source, out = folders
    gone = source.with_name("gone")
    stack(source, "A1")
    settings = replace(QUICK, settle_s=0.4, until_idle_s=0.8)
    clock = Meanwhile((0.2, lambda: source.rename(gone)), (0.2, lambda: gone.rename(source)))
    summary = watch(model, source, out, settings, on_event=heard, clock=clock)
    assert summary.predicted == ("A1",)
    assert "cannot be listed" in heard.texts()
    assert "is back" in heard.texts()


def test_the_second_watcher_of_an_output_is_refused(model, folders):
    source, out = folders
    stack(source, "A1")
    refused = []

    def watch_too():
        with pytest.raises(OutputError, match="another 'isl watch' writes there") as error:
            watch(model, source, out, ONCE)
        refused.append(error)

    summary = watch(model, source, out, QUICK, clock=Meanwhile((0.0, watch_too)))
    assert summary.predicted == ("A1",)
    assert refused


def write_image(path, planes=PLANES, keep=None):
    """OME-Zarr image whose chunks are single planes, of which only some are there."""
    root = zarr.create_group(path, zarr_format=3)
    array = root.create_array(
        "0", shape=(1, 1, planes, *SHAPE), chunks=(1, 1, 1, *SHAPE), dtype="u2"
    )
    scale = [{"type": "scale", "scale": [1, 1, 1, 0.3, 0.3]}]
    axes = [
        {"name": "t", "type": "time"},
        {"name": "c", "type": "channel"},
        *({"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"),
    ]
    levels = [{"path": "0", "coordinateTransformations": scale}]
    root.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"axes": axes, "datasets": levels}],
        "omero": {"channels": [{"label": "phase"}]},
    }
    for z in range(planes if keep is None else keep):
        array[0, 0, z] = image(z)
    return array


def test_an_ome_zarr_image_is_predicted_when_all_its_chunks_are_there(model, folders, heard):
    source, out = folders
    array = write_image(source / "A1.zarr", keep=1)
    settings = replace(QUICK, patience_s=30.0)

    def fill(z):
        array[0, 0, z] = image(z)

    clock = Meanwhile((0.4, lambda: fill(1)), (0.3, lambda: fill(2)))
    summary = watch(model, source, out, settings, on_event=heard, clock=clock)
    assert summary.predicted == ("A1",)
    assert "lacks 2 of 4 pieces of channel phase" in heard.texts()
    assert "taken as empty" not in heard.texts("predicted")


def test_chunks_that_never_come_are_empty_but_an_image_not_begun_is_waited_for(
    model, folders, heard
):
    source, out = folders
    write_image(source / "A1.zarr", keep=2)
    write_image(source / "A2.zarr", keep=0)
    summary = watch(model, source, out, QUICK, on_event=heard)
    assert summary.predicted == ("A1",)
    assert "taken as empty" in heard.texts("predicted")
    assert [field.name for field in summary.waiting] == ["A2"]


def test_a_group_that_grows_can_be_watched_itself(model, tmp_path):
    zarr.create_group(tmp_path / "run.zarr", zarr_format=3)
    write_image(tmp_path / "run.zarr" / "p1")
    clock = Meanwhile((0.3, lambda: write_image(tmp_path / "run.zarr" / "p2")))
    summary = watch(model, tmp_path / "run.zarr", tmp_path / "out", QUICK, clock=clock)
    assert summary.predicted == ("p1", "p2")


def test_names_that_collide_as_files_are_kept_apart(model, folders):
    source, out = folders
    (source / "B").mkdir()
    stack(source / "B", "1")
    stack(source, "B_1")
    settings = replace(ONCE, format="ome.tif")
    assert sorted(watch(model, source, out, settings).predicted) == ["B/1", "B_1"]
    assert outputs(out) == ["B_1-2.ome.tif", "B_1.ome.tif"]
    assert watch(model, source, out, settings).predicted == ()


def test_impossible_requests_are_refused(model, folders):
    source, out = folders
    with pytest.raises(DataError, match="there is no such folder to watch"):
        watch(model, source / "absent", out, ONCE)
    with pytest.raises(OutputError, match="choose another output folder"):
        watch(model, source, source, ONCE)
    with pytest.raises(OutputError, match="inside an OME-Zarr folder"):
        watch(model, source, source / "plate.zarr" / "out", ONCE)
    with pytest.raises(ConfigError, match="channel"):
        watch(model, source, out, replace(ONCE, pattern="{fov}.tif"))
    with pytest.raises(ConfigError, match=r"settle_s \(--settle\) is 0"):
        WatchSettings(settle_s=0)
    (out.parent / "file").write_text("x")
    with pytest.raises(OutputError, match="choose another"):
        watch(model, source, out.parent / "file", ONCE)


def test_the_state_is_small_and_says_what_was_asked(model, folders):
    source, out = folders
    stack(source, "A1")
    watch(model, source, out, ONCE, statistics=("median", "std"))
    stored = json.loads(Path(out / ".isl-watch.json").read_text())
    assert list(stored["done"]) == ["A1.zarr"]
    assert "std" in stored["asked"]["statistics"]

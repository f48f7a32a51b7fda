from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from isl.cli.app import run
from isl.cli.predict import closing_lines
from isl.core.axes import Box
from isl.core.networks import Isl2018Config
from isl.inference.model import Model
from isl.inference.model_file import load_model, save_model
from isl.inference.summary import PredictSummary
from isl.io.open import open_fovs
from isl.io.remote_retry import Traffic
from isl.models.build import build_labeling_network


def predict(model_path, data, output, *more):
    return run(["predict", str(model_path), str(data), "-o", str(output), *more])


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_predictions_have_the_names_and_the_voxel_size(model_path, scene_dir, tmp_path, capsys):
    table = scene_dir / "images.csv"
    assert predict(model_path, table, tmp_path / "p.zarr", "--statistics", "median,q0.05") == 0
    (fov,) = open_fovs(tmp_path / "p.zarr")
    assert fov.channel_names == ("NUCLEI", "CYTOPLASM", "NUCLEI q0.05", "CYTOPLASM q0.05")
    assert fov.voxel_size.x == 0.5
    line = capsys.readouterr().out
    assert "predicted NUCLEI, CYTOPLASM of field S1" in line
    assert str(tmp_path / "p.zarr") in line


def test_flags_reach_the_prediction(model_path, scene_dir, tmp_path):
    flags = ("--dtype", "uint16", "--tile-px", "64", "--source", "BRIGHTFIELD")
    assert predict(model_path, scene_dir, tmp_path / "p.ome.tif", *flags) == 0
    (fov,) = open_fovs(tmp_path / "p.ome.tif")
    assert fov.read("NUCLEI").dtype == np.uint16


def test_one_bad_field_among_many_is_counted(model_path, two_fields, tmp_path, capsys):
    bad = next(two_fields.glob("*well-S2*z_depth-1*"))
    bad.write_bytes(bad.read_bytes()[:300])
    assert predict(model_path, two_fields, tmp_path / "p.zarr") == 1
    shown = capsys.readouterr()
    assert bad.name in shown.err
    assert "1 bad field skipped" in shown.out
    assert [f.name for f in open_fovs(tmp_path / "p.zarr")] == ["S1"]


def truncate(plane):
    plane.write_bytes(plane.read_bytes()[:200])


def resize(plane):
    plane.write_bytes(imagecodecs.png_encode(np.zeros((8, 9), np.uint16)))


def blank(plane):
    for each in plane.parent.glob("*BRIGHTFIELD*"):
        each.write_bytes(imagecodecs.png_encode(np.full((80, 96), 7, np.uint16)))


@pytest.mark.parametrize("harm", [truncate, resize, blank])
def test_bad_images_end_the_command_and_leave_nothing(
    harm, model_path, scene_dir, tmp_path, capsys
):
    harm(next(scene_dir.glob("*z_depth-1*")))
    before = names(tmp_path)
    assert predict(model_path, scene_dir, tmp_path / "p.zarr") == 2
    shown = capsys.readouterr().err
    assert str(scene_dir) in shown
    assert "fault of the program" not in shown
    assert "Traceback" not in shown
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--source", "PHASE"], "no channel 'PHASE'"),
        (["--statistics", "variance"], "variance"),
        (["--dtype", "complex64"], "complex64"),
        (["--tile-px", "-3"], "tile"),
        (["--pattern", "{nothing}"], "pattern"),
    ],
)
def test_bad_flags_are_explained(flags, message, model_path, scene_dir, tmp_path, capsys):
    assert predict(model_path, scene_dir, tmp_path / "p.zarr", *flags) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "fault of the program" not in shown
    assert not (tmp_path / "p.zarr").exists()


def test_another_magnification_is_resampled_and_the_prediction_brought_back(
    model_path, scene_dir, tmp_path, capsys
):
    table = scene_dir / "images.csv"
    table.write_text(table.read_text().replace("1.5,0.5,0.5", "1.5,0.65,0.65"))
    assert predict(model_path, table, tmp_path / "p.zarr") == 0
    assert "resampled from 0.65 to 0.5 um a pixel" in capsys.readouterr().out
    (fov,) = open_fovs(tmp_path / "p.zarr")
    assert (fov.size_y, fov.size_x, fov.voxel_size.x) == (80, 96, 0.65)
    assert predict(model_path, table, tmp_path / "q.zarr", "--no-resample") == 2
    assert "--ignore-voxel-size" in capsys.readouterr().err
    assert predict(model_path, table, tmp_path / "r.zarr", "--ignore-voxel-size") == 0
    assert "resampled" not in capsys.readouterr().out


def test_existing_and_unwritable_outputs(model_path, scene_dir, tmp_path, capsys):
    output = tmp_path / "p.zarr"
    assert predict(model_path, scene_dir, output) == 0
    assert predict(model_path, scene_dir, output) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert predict(model_path, scene_dir, output, "--overwrite") == 0
    (tmp_path / "file").write_text("in the way")
    assert predict(model_path, scene_dir, tmp_path / "file" / "p.zarr") == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.concurrent
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_says_that_it_goes_on(
    number, code, model_path, scene_dir, tmp_path, monkeypatch, capsys
):
    @contextmanager
    def interrupting():
        yield lambda progress: os.kill(os.getpid(), number)

    monkeypatch.setattr("isl.cli.predict.progress_bar", interrupting)
    before = names(tmp_path)
    assert predict(model_path, scene_dir, tmp_path / "p.zarr") == code
    left = set(names(tmp_path)) - set(before)
    goes_on = "the same command goes on" in capsys.readouterr().err
    assert left == ({".p.zarr.partial"} if goes_on else set())


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of the file size")
def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path):
    words = ["simulate", "-o", str(tmp_path / "scene"), "--size-px", "64", "--planes", "2"]
    ended = subprocess.run(
        [sys.executable, "-m", "isl", *words],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "cannot be written" in ended.stderr
    assert names(tmp_path) == []


def test_an_absent_model_is_named(scene_dir, tmp_path, capsys):
    assert predict(tmp_path / "none.isl", scene_dir, tmp_path / "p.zarr") == 2
    assert "none.isl" in capsys.readouterr().err


def test_a_bad_field_is_reported_once(model_path, two_fields, scene_dir, tmp_path, capsys, caplog):
    bad = next(two_fields.glob("*well-S2*z_depth-1*"))
    bad.write_bytes(bad.read_bytes()[:300])
    assert predict(model_path, two_fields, tmp_path / "p.zarr") == 1
    assert capsys.readouterr().err.count(bad.name) == 1
    assert caplog.records == []


def test_the_only_field_is_reported_once(model_path, scene_dir, tmp_path, capsys):
    truncate(next(scene_dir.glob("*z_depth-1*")))
    assert predict(model_path, scene_dir, tmp_path / "p.zarr") == 2
    assert capsys.readouterr().err.count("z_depth-1") == 1


def test_a_missing_plane_is_named_and_does_no_harm(model_path, scene_dir, tmp_path, capsys):
    next(scene_dir.glob("*z_depth-1*")).unlink()
    assert predict(model_path, scene_dir, tmp_path / "p.zarr") == 0
    assert capsys.readouterr().out.count("has planes 0, 2; those between are missing") == 1


def test_working_inside_the_folder_of_the_images(model_path, scene_dir, monkeypatch):
    monkeypatch.chdir(scene_dir)
    assert run(["predict", str(model_path), ".", "-o", "p.zarr"]) == 0
    assert run(["predict", str(model_path), ".", "-o", "p.ome.tif"]) == 0
    assert run(["predict", str(model_path), ".", "-o", "p.ome.tif", "--overwrite"]) == 0
    assert [fov.name for fov in open_fovs(".")] == ["S1"]
    assert run(["evaluate", "p.zarr", ".", "-o", "r.html"]) == 0
    assert run(["evaluate", "p.ome.tif", ".", "-o", "r2.html"]) == 0


def test_fields_of_ome_tiff_find_their_truth(model_path, two_fields, tmp_path):
    assert predict(model_path, two_fields, tmp_path / "p.ome.tif") == 0
    words = ["evaluate", str(tmp_path / "p"), str(two_fields), "-o", str(tmp_path / "r.html")]
    assert run(words) == 0
    assert "S2" in (tmp_path / "r.csv").read_text()


@pytest.fixture
def published_path(model, tmp_path):
    """Untrained model with a tiny network of 2018."""
    config = Isl2018Config(base_depth=8, planes=2, classes=8, reconstruction=False)
    source = model.card.source.model_copy(update={"normalization": "published"})
    card = model.card.model_copy(update={"network": config, "source": source})
    network = build_labeling_network(config, card.target_names).eval()
    save_model(Model(card, network), tmp_path / "published.isl")
    return tmp_path / "published.isl"


@pytest.mark.parametrize("stitching", ["dense", "patches"])
def test_exact_ways_say_nothing_about_a_difference(stitching, published_path, tmp_path, capsys):
    zyx = np.random.default_rng(0).integers(0, 4000, (2, 10, 12)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "phase.tif", zyx, imagej=True, metadata={"axes": "ZYX"})
    words = ("--stitching", stitching, "--statistics", "mean")
    assert predict(published_path, tmp_path / "phase.tif", tmp_path / "p.zarr", *words) == 0
    assert "single pass" not in capsys.readouterr().out
    (fov,) = open_fovs(tmp_path / "p.zarr")
    expected = load_model(published_path).predict(zyx, statistics=("mean",))
    np.testing.assert_allclose(fov.read("NUCLEI mean")[0], expected["NUCLEI mean"], rtol=1e-4)


def test_a_single_pass_prints_its_difference(published_path, scene_dir, tmp_path, capsys):
    words = ("--stitching", "single-pass")
    assert predict(published_path, scene_dir, tmp_path / "p.zarr", *words) == 0
    line = capsys.readouterr().out.splitlines()[2]
    assert line.startswith("single pass: on 80 x 96 px in the middle of the first field")
    assert "% of the prediction's range in the mean" in line


def test_a_valid_border_is_too_large_for_a_small_image(published_path, scene_dir, tmp_path, capsys):
    assert predict(published_path, scene_dir, tmp_path / "p.zarr", "--border", "valid") == 2
    assert "378 px" in capsys.readouterr().err
    assert not (tmp_path / "p.zarr").exists()


@pytest.mark.parametrize("flags", [["--stitching", "dense"], ["--border", "valid"]])
def test_other_networks_refuse_what_is_for_the_published_one(
    flags, model_path, scene_dir, tmp_path, capsys
):
    assert predict(model_path, scene_dir, tmp_path / "p.zarr", *flags) == 2
    assert "leave" in capsys.readouterr().err
    assert not (tmp_path / "p.zarr").exists()


@pytest.mark.parametrize("flags", [["--stitching", "sparse"], ["--border", "zero"]])
def test_unknown_ways_are_usage_errors(flags, model_path, scene_dir, tmp_path, capsys):
    assert predict(model_path, scene_dir, tmp_path / "p.zarr", *flags) == 2
    assert "Choose from" in " ".join(capsys.readouterr().err.split())


def test_a_valid_border_says_what_was_predicted(tmp_path):
    boxes = (Box(121, 249, 121, 377), Box(121, 249, 121, 377))
    summary = PredictSummary(tmp_path, ("a", "b"), (), (), 2 * boxes[0].size, 1.0, boxes)
    line = closing_lines(summary, ("DAPI",)).splitlines()[1]
    assert line.startswith("predicted are rows 121-248 and columns 121-376; the border around")
    other = replace(summary, valid=(boxes[0], Box(121, 377, 121, 377)))
    assert "columns 121-376 of field a, others according to" in closing_lines(other, ("DAPI",))


def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    model_path, scene_dir, tmp_path, capsys
):
    output = tmp_path / "p.zarr"
    assert predict(model_path, scene_dir, output, "--dry-run", "--memory", "2GB") == 0
    said = capsys.readouterr().out
    for words in ("1 field, ", "1 part and", "time: about", "memory: up to", "disk:", "of 2.0 GB"):
        assert words in said
    assert not output.exists()


def test_a_dry_run_refuses_what_the_run_would(model_path, scene_dir, tmp_path, capsys):
    output = tmp_path / "p.zarr"
    assert predict(model_path, scene_dir, output, "--dry-run", "--cluster", "nowhere") == 2
    assert "--cluster nowhere" in capsys.readouterr().err
    assert predict(model_path, scene_dir, output) == 0
    assert predict(model_path, scene_dir, output, "--dry-run") == 2
    assert "exists already; pass --overwrite" in capsys.readouterr().err
    assert predict(model_path, scene_dir, output, "--dry-run", "--overwrite") == 0


def test_the_backend_is_named(model_path, scene_dir, tmp_path, capsys):
    assert predict(model_path, scene_dir, tmp_path / "p.zarr", "--backend", "torch") == 0
    assert "run by torch, as asked for" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--backend", "abacus"], "abacus"),
        (["--memory", "much"], "2GB"),
        (["--memory", "1MB"], "not enough"),
        (["--cluster", "nowhere"], "--cluster nowhere"),
        (["--cluster", "local:9999"], "ask for fewer processes"),
    ],
)
def test_bad_resources_are_refused(flags, words, model_path, scene_dir, tmp_path, capsys):
    assert predict(model_path, scene_dir, tmp_path / "p.zarr", *flags) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("*p.zarr*"))


@pytest.mark.parametrize(
    ("waited", "came", "words"),
    [
        (0.8, Traffic(120_000_000, 10.0, 0), "12.0 MB/s, the processor waited 80 % of the time"),
        (0.8, Traffic(), "waited 80 % of the time for the images"),
        (0.1, Traffic(120_000_000, 10.0, 0), ""),
    ],
)
def test_waiting_for_images_is_said(waited, came, words):
    summary = PredictSummary(
        Path("p.zarr"), ("a",), (), (), 10**6, 60.0, waited=waited, traffic=came
    )
    said = closing_lines(summary, ("DAPI",))
    assert words in said
    assert bool(words) == ("waited" in said)

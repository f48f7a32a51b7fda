from __future__ import annotations

import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import torch

from isl.cli.app import run
from isl.cli.import_checkpoint import parse_voxel_size
from isl.core.axes import VoxelSize
from isl.core.networks import Isl2018Config
from isl.inference.model_file import load_model
from isl.io.open import open_fovs
from isl.models.isl2018 import from_checkpoint
from isl.models.isl2018.checkpoint import variable_names
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.isl2018.network import Isl2018, head_names

sys.path.append(str(Path(__file__).parent.parent / "io"))
from tf_bundles import write_bundle

CONFIG = Isl2018Config(base_depth=10, planes=2, classes=8)


def arrays():
    network = Isl2018(CONFIG, head_names(CONFIG, ("NUCLEI", "CYTOPLASM")))
    generator = np.random.default_rng(0)
    return {
        name: generator.uniform(0.1, 0.3, shape).astype(np.float32)
        for name, shape in variable_names(network).items()
    }


@pytest.fixture
def checkpoint(tmp_path):
    (tmp_path / "tf").mkdir()
    write_bundle(tmp_path / "tf" / "model.ckpt-1200", arrays())
    return tmp_path / "tf"


def convert(checkpoint, output, *more):
    return run(["import-checkpoint", str(checkpoint), "-o", str(output), *more])


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_an_imported_model_is_shown_and_predicts(checkpoint, scene_dir, tmp_path, capsys):
    output = tmp_path / "m.isl"
    assert convert(checkpoint, output, "--normalization", "published") == 0
    shown = capsys.readouterr().out
    assert "imported CYTOPLASM, NUCLEI from" in shown
    assert "after 1200 steps" in shown
    assert run(["info", str(output)]) == 0
    shown = capsys.readouterr().out
    assert "source: TRANSMISSION (kind unknown), 2 planes" in shown
    assert "voxel size: unknown" in shown
    assert "held out: not known" in shown
    assert "base_depth: 10" in shown
    assert "model.ckpt-1200" in shown
    assert "trained on" not in shown
    assert run(["predict", str(output), str(scene_dir), "-o", str(tmp_path / "p.zarr")]) == 0
    (fov,) = open_fovs(tmp_path / "p.zarr")
    assert fov.channel_names == ("CYTOPLASM", "NUCLEI")
    assert "predicted from 'BRIGHTFIELD', as there is no 'TRANSMISSION'" in capsys.readouterr().out


def test_voxel_sizes(checkpoint, tmp_path):
    assert convert(checkpoint, tmp_path / "m.isl", "--voxel-size-um", "2,0.5,0.4") == 0
    assert load_model(tmp_path / "m.isl").card.voxel_size == VoxelSize(2.0, 0.5, 0.4)
    assert parse_voxel_size("0.5") == (0.5, 0.5)
    assert parse_voxel_size("0.5,0.4") == (0.5, 0.4)


@pytest.mark.parametrize("text", ["wide", "0", "-1", "nan", "1,2,3,4", "1,,2"])
def test_bad_voxel_sizes(text, checkpoint, tmp_path, capsys):
    assert convert(checkpoint, tmp_path / "m.isl", f"--voxel-size-um={text}") == 2
    assert "micrometres" in capsys.readouterr().err
    assert not (tmp_path / "m.isl").exists()


def remove_a_variable(folder):
    given = arrays()
    del given["upper_recursion_3/reduce_rv2/Conv/weights"]
    write_bundle(folder / "model.ckpt-1200", given)


def add_a_variable(folder):
    write_bundle(folder / "model.ckpt-1200", arrays() | {"dense/kernel": np.zeros(3, np.float32)})


def change_a_shape(folder):
    wrong = {"upscale_4_0/reduce_rv2/BatchNorm/beta": np.zeros(3, np.float32)}
    write_bundle(folder / "model.ckpt-1200", arrays() | wrong)


def truncate(folder):
    data = folder / "model.ckpt-1200.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])


def empty(folder):
    for file in folder.iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (remove_a_variable, "1 missing: upper_recursion_3/reduce_rv2/Conv/weights"),
        (add_a_variable, "1 not of this network: dense/kernel"),
        (change_a_shape, "1 of another shape: upscale_4_0/reduce_rv2/BatchNorm/beta (3,)"),
        (truncate, "model.ckpt-1200.data-00000-of-00001"),
        (empty, "holds no TensorFlow checkpoint"),
    ],
)
def test_bad_checkpoints_end_the_command_and_leave_nothing(
    harm, message, checkpoint, tmp_path, capsys
):
    harm(checkpoint)
    assert convert(checkpoint, tmp_path / "m.isl") == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "fault of the program" not in shown
    assert names(tmp_path) == ["tf"]


def test_existing_and_unwritable_outputs(checkpoint, tmp_path, capsys):
    output = tmp_path / "m.isl"
    output.write_text("something")
    assert convert(checkpoint, output) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert output.read_text() == "something"
    assert convert(checkpoint, output, "--overwrite") == 0
    assert load_model(output).card.network == CONFIG
    assert convert(checkpoint, output / "below.isl") == 2
    assert "cannot be written" in capsys.readouterr().err
    assert names(tmp_path) == ["m.isl", "tf"]


def test_an_unknown_normalization_is_a_usage_error(checkpoint, tmp_path, capsys):
    assert convert(checkpoint, tmp_path / "m.isl", "--normalization", "standard") == 2
    assert "full-range" in capsys.readouterr().err


@pytest.mark.data
def test_the_reference_predicts_what_the_network_computes(
    reference_dir, data_dir, tmp_path, capsys
):
    assert convert(reference_dir, tmp_path / "m.isl") == 0
    assert "DAPI_CONFOCAL" in capsys.readouterr().out
    (well,) = open_fovs(data_dir / "isl2018" / "condition_B_well_A4")
    planes = well.read("PHASE_CONTRAST")[:, 200:216, 300:324]
    (tmp_path / "crop").mkdir()
    for z, plane in enumerate(planes):
        file = tmp_path / "crop" / f"a_phase_z{z:02}.png"
        file.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(plane)))
    words = ["predict", str(tmp_path / "m.isl"), str(tmp_path / "crop")]
    assert run([*words, "-o", str(tmp_path / "p.zarr"), "--statistics", "mean"]) == 0
    (fov,) = open_fovs(tmp_path / "p.zarr")
    module = from_checkpoint(reference_dir)
    around = np.pad(planes / 65535.0, ((0, 0), (121, 230), (121, 230)), "reflect")[:, :250, :250]
    source = torch.from_numpy(around.astype(np.float32))[None]
    x = Isl2018Labeling(module.config, ["A"]).features(source, torch.linspace(0, 1, 13)[None])
    with torch.inference_mode():
        logits = module(x)
    values = torch.linspace(0, 65535, 256)[:, None, None]
    for channel in fov.channel_names:
        name = channel.removesuffix(" mean")
        expected = (logits[f"head/MAXPROJECT/{name}"][0].softmax(0) * values).sum(0)
        np.testing.assert_allclose(fov.read(channel)[0][:8, :8], expected, rtol=1e-4)

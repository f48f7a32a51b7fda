from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest

import isl
from isl import api
from isl.core import errors
from isl.core.errors import ConfigError
from isl.io.arrays import fov_from_arrays
from isl.simulate.files import scene_fov, write_scene
from isl.simulate.scene import simulate_scene


@pytest.fixture(scope="module")
def scene():
    return simulate_scene(size_yx=(32, 32), planes=2, cells=1)


@pytest.mark.parametrize("name", [n for n in isl.__all__ if n != "__version__"])
def test_every_public_name_exists_and_is_documented(name):
    value = getattr(isl, name)
    assert inspect.getdoc(value)
    assert value.__name__ == name


def test_all_is_sorted_and_holds_exactly_what_can_be_imported():
    assert isl.__all__ == sorted(isl.__all__)
    assert set(isl.__all__) == {*isl._HOME_OF, "__version__"}
    assert set(isl.__all__) <= set(dir(isl))


def test_every_error_is_public():
    names = [n for n, v in vars(errors).items() if inspect.isclass(v) and issubclass(v, Exception)]
    assert set(names) <= set(isl.__all__)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'frobnicate'"):
        isl.frobnicate  # noqa: B018


def test_import_is_light():
    code = (
        "import sys, isl; "
        "print([m for m in ('torch', 'zarr', 'numpy', 'pandas', 'pydantic') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_data_are_paths_or_fields(scene, tmp_path):
    write_scene(scene, tmp_path / "scene")
    fov = scene_fov(scene, name="memory")
    opened = api.open_data([tmp_path / "scene", fov])
    assert [f.name for f in opened] == ["S0", "memory"]
    assert api.open_data(fov) == [fov]


def test_names_that_occur_twice_get_their_path(scene, tmp_path):
    for folder in ("a", "b"):
        write_scene(scene, tmp_path / folder)
    opened = api.open_data([tmp_path / "a", tmp_path / "b"])
    assert [f.name for f in opened] == [f"{tmp_path / 'a'}:S0", f"{tmp_path / 'b'}:S0"]


def test_no_data_and_double_data_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no images are given"):
        api.open_data([])
    with pytest.raises(ConfigError, match="given twice"):
        api.open_data([tmp_path, tmp_path])


def test_model_files_are_known_by_name_or_content(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n....")
    assert api.is_model_file(tmp_path / "absent.isl")
    assert api.is_model_file(tmp_path / "weights.bin")
    assert not api.is_model_file(tmp_path / "image.png")
    assert not api.is_model_file(tmp_path)


def test_unknown_settings_are_named(scene):
    with pytest.raises(ConfigError, match="max_minute"):
        isl.train(scene_fov(scene), "model.isl", max_minute=3)


def test_a_region_may_be_text():
    image = np.random.default_rng(0).normal(100, 10, (64, 96))
    wrong = np.where(np.arange(96) < 48, image, -image)
    prediction = fov_from_arrays({"DAPI": wrong})
    truth = fov_from_arrays({"DAPI": image, "phase": image})
    left = isl.evaluate(prediction, truth, region="columns:0-47")
    assert left.score("DAPI", "pearson_r").value == pytest.approx(1)
    with pytest.raises(isl.ConfigError, match="cannot read the region"):
        isl.evaluate(prediction, truth, region="left")

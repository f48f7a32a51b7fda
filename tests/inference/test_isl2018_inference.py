"""The published network through the same interface as any other."""

import numpy as np
import pytest
import torch
from inference_scene import make_fov, make_model, make_published

from isl.core.axes import Box
from isl.core.errors import ConfigError, DataError, ImageSizeError
from isl.inference.model import Model
from isl.inference.model_file import load_model, save_model
from isl.inference.predict import predict_fovs
from isl.io.open import open_fovs
from isl.io.provenance import written_part


@pytest.fixture(scope="module")
def model():
    return make_published()


@pytest.fixture(scope="module")
def zyx():
    return np.random.default_rng(0).integers(0, 4000, (3, 61, 90)).astype(np.uint16)


def patch(model, zyx, y, x):
    """What the published program computes for the block whose first pixel is (y, x)."""
    zyx = zyx.astype(np.float64)
    values = np.clip((zyx - zyx.mean()) / zyx.std() * 0.125 + 0.5, 0, 1).astype(np.float32)
    rows = slice(y + 300 - 121, y + 300 - 121 + 250)
    columns = slice(x + 300 - 121, x + 300 - 121 + 250)
    around = np.pad(values, ((0, 0), (300, 300), (300, 300)), "reflect")[:, rows, columns]
    planes = around[[0, -1]]
    features = np.stack([planes, np.ones_like(planes)], 1).reshape(1, 4, 250, 250)
    with torch.inference_mode():
        logits = model.network.module(torch.from_numpy(features))
    return torch.stack([logits[f"head/MAXPROJECT/{n}"][0] for n in ("DAPI", "MAP2")]).softmax(1)


@pytest.mark.parametrize("stitching", ["dense", "patches"])
def test_every_block_is_that_of_its_patch(model, zyx, stitching):
    found = model.stitched(stitching).distribution(zyx, tile_px=48)
    assert found.probability.shape == (8, 2, 61, 90)
    for y, x in [(0, 0), (8, 40), (48, 48), (56, 88)]:
        expected = patch(model, zyx, y, x).permute(1, 0, 2, 3)
        rows, columns = min(8, 61 - y), min(8, 90 - x)
        torch.testing.assert_close(
            found.probability[..., y : y + rows, x : x + columns],
            expected[..., :rows, :columns],
            rtol=1e-4,
            atol=1e-5,
        )
    assert found.low.flatten().tolist() == [0.0, 100.0]
    assert found.high.flatten().tolist() == [50.0, 151.0]


@pytest.mark.parametrize("stitching", ["dense", "single-pass"])
def test_tiled_equals_whole(model, zyx, stitching):
    chosen = model.stitched(stitching)
    whole = chosen.predict(zyx, statistics=("mean",), tile_px=1000)
    tiled = chosen.predict(zyx, statistics=("mean",), tile_px=32)
    np.testing.assert_allclose(tiled.image, whole.image, rtol=1e-4)


def test_single_pass_differs(model, zyx):
    dense = model.predict(zyx, statistics=("mean",))
    once = model.stitched("single-pass").predict(zyx, statistics=("mean",))
    assert np.abs(dense.image - once.image).max() > 1e-3
    np.testing.assert_allclose(dense.image[:, :8, :8], once.image[:, :8, :8], rtol=1e-4)


def test_a_box_is_predicted_as_with_the_whole(model, zyx):
    box = Box(10, 30, 33, 70)
    part = model.distribution(zyx, box=box, tile_px=16)
    whole = model.distribution(zyx)
    torch.testing.assert_close(part.mean(), whole.mean()[..., 10:30, 33:70], rtol=1e-4, atol=1e-4)


def test_valid_border_gives_the_published_blocks(model):
    zyx = np.random.default_rng(0).random((2, 400, 380))
    found = model.predict(zyx, statistics=("mean",), border="valid", tile_px=64)
    there = np.isfinite(found.image).all(0)
    assert there[121:249, 121:249].all()
    assert there.sum() == 128**2
    mean = patch(model, zyx, 121 + 8, 121 + 120)[0]
    values = torch.linspace(0, 50, 8)[:, None, None]
    np.testing.assert_allclose(
        found["DAPI mean"][129:137, 241:249], (mean * values).sum(0), rtol=1e-4
    )
    with pytest.raises(ImageSizeError, match="378 px"):
        model.predict(zyx[:, :300], border="valid")


def test_planes_can_be_reconstructed(model, zyx):
    found = model.source_distribution(zyx)
    assert found.probability.shape == (8, 2, 61, 90)
    assert make_model().source_distribution(zyx) is None


def test_other_networks_have_one_way(zyx):
    with pytest.raises(ConfigError, match="leave it out"):
        make_model().stitched("dense")


def test_model_file_keeps_it(model, zyx, tmp_path):
    save_model(model, tmp_path / "m.isl")
    loaded = load_model(tmp_path / "m.isl")
    assert loaded.card == model.card
    np.testing.assert_array_equal(loaded.predict(zyx).image, model.predict(zyx).image)


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
def test_outputs_note_which_part_was_predicted(model, tmp_path, ending, monkeypatch):
    monkeypatch.setattr("isl.inference.tiles.BLOCK_PX", 16)
    tzyx = np.random.default_rng(0).random((1, 2, 266, 290))
    fovs = [make_fov(tzyx[..., :270], "a"), make_fov(tzyx, "b")]
    output = tmp_path / f"p{ending}"
    summary = predict_fovs(model, fovs, output, border="valid", dtype="uint8")
    assert summary.valid == (Box(121, 137, 121, 137), Box(121, 137, 121, 153))
    assert summary.pixels == 16 * 16 + 16 * 32
    found = {fov.name: fov for fov in open_fovs(summary.path)}
    assert tuple(written_part(found[name]) for name in ("a", "b")) == summary.valid
    whole = predict_fovs(model, [make_fov(tzyx[..., :9, :9])], tmp_path / f"q{ending}")
    assert written_part(open_fovs(whole.path)[0]) == Box(0, 9, 0, 9)


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
def test_fields_are_predicted_with_lost_borders(model, tmp_path, ending):
    tzyx = np.random.default_rng(0).random((1, 2, 400, 380))
    fovs = [make_fov(tzyx, "a"), make_fov(tzyx[..., :200], "b")]
    bad = []
    output = tmp_path / f"p{ending}"
    summary = predict_fovs(
        model, fovs, output, border="valid", on_bad=lambda name, error: bad.append(name)
    )
    assert (summary.fields, bad) == (("a",), ["b"])
    (fov,) = open_fovs(summary.path)
    found = fov.read("DAPI")[0]
    expected = model.predict(tzyx[0], border="valid")["DAPI"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_full_range_divides_by_the_largest_value(model, zyx):
    card = model.card.model_copy(
        update={"source": model.card.source.model_copy(update={"normalization": "full-range"})}
    )
    full = Model(card, model.network)
    np.testing.assert_allclose(
        full.predict(zyx).image, full.predict(zyx / 65535.0).image, atol=1e-3
    )
    with pytest.raises(DataError, match=r"bring them to 0\.\.1"):
        full.predict(zyx.astype(np.float32))

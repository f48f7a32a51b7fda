import json
import re
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import zarr
from inference_scene import make_fov, make_model

from isl.core.axes import VoxelSize
from isl.core.errors import (
    BlankImageError,
    ChannelError,
    ConfigError,
    DamagedFileError,
    DataError,
    OutputError,
    VoxelSizeError,
)
from isl.inference.predict import plan_fovs, predict_fovs

CHUNK_PX = 512


@pytest.fixture
def stack(rng):
    """One time point of a z-stack that takes two tiles of a chunk each."""
    return rng.integers(0, 4000, (1, 3, 70, CHUNK_PX + 45), dtype=np.uint16)


def read_zarr(path):
    return zarr.open_array(path / "0", mode="r")[:]


def test_written_equals_predicted_from_the_array(model, stack, tmp_path):
    summary = predict_fovs(model, [make_fov(stack)], tmp_path / "p.zarr", tile_px=64)
    image = read_zarr(tmp_path / "p.zarr")
    expected = model.predict(stack[0], tile_px=10_000).image
    assert image.shape == (1, 2, 1, *stack.shape[2:])
    for written, predicted in zip(image[0, :, 0], expected, strict=True):
        assert np.abs(written - predicted).max() <= 1e-4 * np.ptp(predicted)
    assert summary.fields == ("field",)
    assert summary.bad == ()
    assert summary.pixels == 70 * (CHUNK_PX + 45)
    assert summary.path == tmp_path / "p.zarr"
    assert summary.megapixels_per_second == pytest.approx(summary.pixels / summary.seconds / 1e6)


def test_tiles_smaller_than_the_margin_are_right_and_warned_of(model, rng, tmp_path, caplog):
    fov = make_fov(rng.integers(0, 4000, (1, 3, 60, 60), dtype=np.uint16))
    predict_fovs(model, [fov], tmp_path / "usual.zarr", tile_px=64)
    assert caplog.messages == []
    predict_fovs(model, [fov], tmp_path / "tiny.zarr", tile_px=6)
    (said,) = caplog.messages
    assert model.network.margin_px > 6
    times = int(re.search(r"tiles of 6 px are smaller .* about (\d+) times", said)[1])
    plan = plan_fovs(model, [fov], tmp_path / "p.zarr", tile_px=6)
    assert times == round(plan.computed_pixels / plan.pixels) > 5
    usual, tiny = read_zarr(tmp_path / "usual.zarr"), read_zarr(tmp_path / "tiny.zarr")
    np.testing.assert_allclose(tiny, usual, rtol=1e-3, atol=1e-2)


@pytest.fixture
def nothing_kept(monkeypatch):
    """Sources whose pixels are read again after they were measured, as large ones are."""
    monkeypatch.setattr("isl.inference.runner.HELD_SHARE", 0)


@pytest.mark.usefixtures("nothing_kept")
def test_large_field_is_read_in_pieces(model, rng, tmp_path):
    tzyx = rng.integers(0, 4000, (1, 2, CHUNK_PX + 9, 2 * CHUNK_PX + 9), dtype=np.uint16)
    fov = make_fov(tzyx)
    predict_fovs(model, [fov], tmp_path / "p.zarr", tile_px=CHUNK_PX)
    largest = max(box.size for box in fov.pixels.boxes if box.shape[0] > 64)
    assert largest <= (CHUNK_PX + 2 * model.network.margin_px) ** 2 < fov.box.size


def test_time_series_is_normalised_by_time_point(model, stack, tmp_path):
    series = np.concatenate([stack, 500 + stack // 3, stack[..., ::-1, :]])
    predict_fovs(model, [make_fov(series)], tmp_path / "p.zarr")
    image = read_zarr(tmp_path / "p.zarr")
    for t, zyx in enumerate(series):
        np.testing.assert_allclose(image[t, :, 0], model.predict(zyx).image, rtol=1e-3, atol=1e-2)


def test_statistics_become_channels(model, stack, tmp_path):
    statistics = ("q0.1", "median", "std")
    predict_fovs(model, [make_fov(stack)], tmp_path / "p.ome.tif", statistics=statistics)
    expected = model.predict(stack[0], statistics=statistics)
    with tifffile.TiffFile(tmp_path / "p.ome.tif") as tiff:
        image = tiff.series[0].asarray().squeeze()
        for name in expected.channel_names:
            assert f'Name="{name}"' in tiff.ome_metadata
    np.testing.assert_allclose(image, expected.image, rtol=1e-3, atol=1e-2)
    assert (image[0] < image[2]).all()


def test_plate_keeps_its_layout_and_says_where_it_comes_from(model, stack, tmp_path):
    fovs = [
        make_fov(stack, name=f"{well}/0", well=well, plate="screen") for well in ("B/03", "C/04")
    ]
    predict_fovs(model, fovs, tmp_path / "p.zarr")
    root = json.loads((tmp_path / "p.zarr" / "zarr.json").read_text())["attributes"]
    assert [w["path"] for w in root["ome"]["plate"]["wells"]] == ["B/03", "C/04"]
    assert root["isl"]["model"]["targets"][0]["name"] == "DAPI"
    assert read_zarr(tmp_path / "p.zarr" / "C" / "04" / "0").shape == (1, 2, 1, *stack.shape[2:])


def test_progress_knows_the_total_and_reaches_it(model, stack, tmp_path):
    seen = []
    fovs = [make_fov(np.repeat(stack, 2, axis=0), name=n) for n in "ab"]
    fovs.append(make_fov(np.zeros_like(stack), name="blank"))
    predict_fovs(
        model,
        fovs,
        tmp_path / "p.zarr",
        tile_px=CHUNK_PX,
        progress=seen.append,
        on_bad=lambda *_: None,
    )
    assert {p.total for p in seen} == {10}
    assert [p.done for p in seen] == [1, 2, 3, 4, 5, 6, 7, 8, 10]
    assert {p.unit for p in seen} == {"tile"}


class TestSource:
    """Which channel is predicted from."""

    def test_named(self, model, stack, tmp_path):
        fov = make_fov(stack, channels=("phase", "other"))
        predict_fovs(model, [fov], tmp_path / "p.zarr", source="other")
        assert read_zarr(tmp_path / "p.zarr").any()

    def test_guessed_where_the_name_of_training_is_absent(self, model, stack, tmp_path):
        fov = make_fov(stack, channels=("DAPI", "BRIGHTFIELD"))
        summary = predict_fovs(model, [fov], tmp_path / "p.zarr")
        assert "'BRIGHTFIELD', as there is no 'phase': BRIGHTFIELD is the" in summary.notes[0]
        assert read_zarr(tmp_path / "p.zarr").any()

    @pytest.mark.parametrize(
        ("channels", "source"), [(("phase",), "dic"), (("DAPI", "MAP2"), None), (("a", "b"), None)]
    )
    def test_absent(self, model, stack, tmp_path, channels, source):
        fov = make_fov(stack, channels=channels)
        with pytest.raises(ChannelError, match=channels[0]):
            predict_fovs(model, [fov], tmp_path / "p.zarr", source=source)
        assert not list(tmp_path.iterdir())


def broken(kind, stack):
    """A field that cannot be predicted, and the error that says so."""
    if kind == "nan":
        floats = stack.astype(np.float32)
        floats[0, 1, 69, 500] = np.nan
        return make_fov(floats, name="bad"), BlankImageError
    if kind == "constant":
        return make_fov(np.full_like(stack, 3), name="bad"), BlankImageError
    if kind == "voxel":
        return make_fov(stack, name="bad", voxel_size=VoxelSize(1, 3.0, 3.0)), VoxelSizeError
    if kind == "channel":
        return make_fov(stack, name="bad", channels=("DAPI",)), ChannelError
    fov = make_fov(stack, name="bad")
    fov.pixels.broken_after = 2 if kind == "truncated" else 0
    return fov, DamagedFileError


KINDS = ["nan", "constant", "voxel", "channel", "truncated", "unreadable"]


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("kind", KINDS)
def test_single_bad_field_raises_and_leaves_nothing(model, stack, tmp_path, kind):
    fov, error = broken(kind, stack)
    with pytest.raises(error, match=r"images.*bad"):
        predict_fovs(model, [fov], tmp_path / "p.zarr", tile_px=CHUNK_PX, on_bad=lambda *_: None)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", ["zarr", "ome.tif"])
def test_bad_field_among_good_ones_is_dropped_and_counted(model, stack, tmp_path, kind, ending):
    fov, error = broken(kind, stack)
    reported = []
    summary = predict_fovs(
        model,
        [make_fov(stack, name="first"), fov, make_fov(stack, name="last")],
        tmp_path / f"p.{ending}",
        tile_px=CHUNK_PX,
        on_bad=lambda name, reason: reported.append((name, type(reason))),
    )
    assert summary.fields == ("first", "last")
    assert [b.name for b in summary.bad] == ["bad"]
    assert reported == [("bad", error)]
    assert summary.pixels == 2 * stack[0, 0].size
    names = {p.name for p in summary.path.rglob("*")}
    assert not any("bad" in name for name in names)


def test_nan_outside_of_the_sample_of_the_normalisation_is_found(
    model, stack, tmp_path, monkeypatch
):
    monkeypatch.setattr("isl.data.normalization._MOST_PIXELS_PER_PLANE", 1)
    with pytest.raises(BlankImageError, match=r"field bad, channel 'phase', time point 0 holds"):
        predict_fovs(model, [broken("nan", stack)[0]], tmp_path / "p.zarr")


def test_without_a_listener_the_first_bad_field_raises(model, stack, tmp_path):
    fov, error = broken("constant", stack)
    with pytest.raises(error):
        predict_fovs(model, [make_fov(stack), fov], tmp_path / "p.zarr")
    assert not (tmp_path / "p.zarr").exists()


@pytest.mark.parametrize("kind", ["voxel", "constant"])
def test_only_bad_fields_is_an_error(model, stack, tmp_path, kind):
    fovs = [broken(kind, stack)[0].renamed(name) for name in "ab"]
    with pytest.raises(DataError, match="none of 2 fields"):
        predict_fovs(model, fovs, tmp_path / "p.zarr", on_bad=lambda *_: None)
    assert not list(tmp_path.iterdir())


def test_no_field_is_an_error(model, tmp_path):
    with pytest.raises(DataError, match="no fields"):
        predict_fovs(model, [], tmp_path / "p.zarr")


def test_voxel_size_can_be_ignored(model, stack, tmp_path):
    predict_fovs(model, [broken("voxel", stack)[0]], tmp_path / "p.zarr", ignore_voxel_size=True)
    assert (tmp_path / "p.zarr").is_dir()


def test_unknown_voxel_size_passes(stack, tmp_path):
    model = make_model(voxel_size=VoxelSize())
    predict_fovs(model, [make_fov(stack)], tmp_path / "p.zarr")
    assert (tmp_path / "p.zarr").is_dir()


def test_existing_output_needs_overwrite(model, stack, tmp_path):
    predict_fovs(model, [make_fov(stack)], tmp_path / "p.zarr")
    fov = make_fov(stack)
    with pytest.raises(OutputError, match="--overwrite"):
        predict_fovs(model, [fov], tmp_path / "p.zarr")
    assert fov.pixels.boxes == []
    predict_fovs(model, [fov], tmp_path / "p.zarr", overwrite=True)


@pytest.mark.parametrize(
    "options",
    [
        {"statistics": ("avg",)},
        {"dtype": "complex"},
        {"tile_px": 0},
        {"threads": 0},
        {"threads": 0, "backend": "auto"},
        {"dtype": "uint8", "statistics": ("median", "entropy")},
    ],
)
def test_bad_setting_is_refused(model, stack, tmp_path, options):
    with pytest.raises(ConfigError):
        predict_fovs(model, [make_fov(stack)], tmp_path / "p.zarr", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("ending", ["zarr", "ome.tif"])
def test_interruption_leaves_nothing_under_the_final_name(
    model, stack, tmp_path, interruption, ending
):
    def interrupt(progress):
        raise interruption

    fovs = [make_fov(stack, name=name) for name in "ab"]
    with pytest.raises(interruption):
        predict_fovs(
            model, fovs, tmp_path / f"p.{ending}", progress=interrupt, on_bad=lambda *_: None
        )
    assert {entry.name for entry in tmp_path.iterdir()} <= {f".p.{ending}.partial", ".p.partial"}


def test_integer_output_is_rounded(model, stack, tmp_path):
    predict_fovs(model, [make_fov(stack)], tmp_path / "p.zarr", dtype="uint16")
    image = read_zarr(tmp_path / "p.zarr")
    expected = np.clip(model.predict(stack[0]).image, 0, 65535)
    assert image.dtype == np.uint16
    np.testing.assert_allclose(image[0, :, 0], expected, atol=0.51)


@pytest.mark.parametrize("where", ["plate.zarr", "plate.zarr/inside.zarr", "."])
def test_output_never_replaces_what_it_is_predicted_from(model, stack, tmp_path, where):
    fov = replace(make_fov(stack), path=tmp_path / "plate.zarr" / "B" / "03" / "0")
    with pytest.raises(OutputError, match="choose another --output"):
        predict_fovs(model, [fov], tmp_path / where, overwrite=True)


def test_a_source_file_in_the_folder_is_not_replaced(model, stack, tmp_path):
    (tmp_path / "wells").mkdir()
    (tmp_path / "wells" / "plane.tif").write_bytes(b"an image")
    fovs = [replace(make_fov(stack, name=name), path=tmp_path / "wells") for name in "ab"]
    for output in ("wells.ome.tif", "wells/plane.tif"):
        with pytest.raises(OutputError, match="which it is predicted from"):
            predict_fovs(model, fovs, tmp_path / output, overwrite=True)
    assert (tmp_path / "wells" / "plane.tif").read_bytes() == b"an image"

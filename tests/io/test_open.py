from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from output_images import field, write

from isl.core.errors import ConfigError, DamagedFileError, DataError, ImageSizeError
from isl.io.open import open_fovs
from isl.io.published_names import PublishedName, published_file_name
from isl.io.staging import RUN_MARKER


def png(path: Path, value: int = 0, shape: tuple[int, ...] = (5, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(imagecodecs.png_encode(np.full(shape, value, np.uint16)))
    return path


def well(folder: Path, name: str) -> None:
    for channel, z in (("PHASE_CONTRAST", 0), ("PHASE_CONTRAST", 1), ("DAPI_CONFOCAL", None)):
        published = PublishedName("L", "C", ("2015", "10", "5"), name, z, channel)
        png(folder / published_file_name(published))


def names(path: Path, **options: object) -> list[str]:
    return [f.name for f in open_fovs(path, **options)]  # type: ignore[arg-type]


def test_folder_of_wells(tmp_path):
    for name in ("A4", "A5"):
        well(tmp_path / name, name)
    assert names(tmp_path) == ["A4", "A5"]
    assert names(tmp_path / "A4") == ["A4"]


def test_wells_of_one_name_stay_apart(tmp_path):
    well(tmp_path / "train" / "A4", "A4")
    well(tmp_path / "test" / "A4", "A4")
    assert names(tmp_path) == ["test/A4", "train/A4"]


def test_folder_of_everything(tmp_path):
    well(tmp_path, "A4")
    png(tmp_path / "s1_phase.png")
    png(tmp_path / "s1_gfp.png")
    stack = np.zeros((2, 5, 6), np.uint16)
    tifffile.imwrite(tmp_path / "hyper.tif", stack, imagej=True, metadata={"axes": "CYX"})
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    assert names(tmp_path) == ["A4", "s1", "hyper"]


def test_single_files(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 5, 6), np.uint16), photometric="minisblack")
    assert [(f.name, f.shape) for f in open_fovs(tmp_path / "a.tif")] == [("a", (1, 1, 3, 5, 6))]
    (tmp_path / "a.tif").rename(tmp_path / "b_phase.tif")
    assert open_fovs(tmp_path / "b_phase.tif")[0].channel_names == ("phase",)
    (fov,) = open_fovs(str(png(tmp_path / "dic.png")))
    assert (fov.name, fov.channel_names, fov.channels[0].modality) == ("dic", ("dic",), "dic")
    (tmp_path / "t.csv").write_text("path,fov,channel\ndic.png,x,dic\n")
    assert names(tmp_path / "t.csv") == ["x"]


def test_files_of_one_ome_tiff_open_once(tmp_path):
    image = np.zeros((2, 5, 6), np.uint8)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", image, metadata={"axes": "CYX"}, photometric="minisblack"
    )
    assert names(tmp_path) == ["a"]


def test_pattern(tmp_path):
    png(tmp_path / "7-left-0.png")
    png(tmp_path / "7-left-1.png", 1)
    (fov,) = open_fovs(tmp_path, pattern="{fov}-{channel}-{z}.png")
    assert (fov.name, fov.channel_names, fov.shape) == ("7", ("left",), (1, 1, 2, 5, 6))
    with pytest.raises(ConfigError, match="pattern"):
        open_fovs(tmp_path / "7-left-0.png", pattern="{channel}.png")


def test_bad_fields_among_many(tmp_path):
    png(tmp_path / "a_phase.png")
    png(tmp_path / "b_phase.png")
    png(tmp_path / "b_gfp.png", shape=(5, 7))
    (tmp_path / "c_phase.tif").write_bytes(b"II*\0 cut")
    png(tmp_path / "c_gfp.png")
    png(tmp_path / "rgb_phase.png", shape=(5, 6, 3))
    bad: dict[str, Exception] = {}
    assert names(tmp_path, on_bad=bad.__setitem__) == ["a"]
    assert {name: type(error) for name, error in bad.items()} == {
        "b": ImageSizeError,
        "c": DamagedFileError,
        "rgb": DataError,
    }
    with pytest.raises(ImageSizeError):
        open_fovs(tmp_path)


def test_all_fields_bad(tmp_path):
    (tmp_path / "a_phase.png").write_bytes(b"cut")
    bad = []
    with pytest.raises(DamagedFileError, match=r"a_phase\.png"):
        open_fovs(tmp_path, on_bad=lambda name, error: bad.append(name))
    assert bad == []
    (tmp_path / "b_phase.png").write_bytes(b"cut")
    with pytest.raises(DataError, match="none of its 2 fields can be opened, see above"):
        open_fovs(tmp_path, on_bad=lambda name, error: bad.append(name))
    assert bad == ["a", "b"]


def test_paths_without_images(tmp_path):
    with pytest.raises(DataError, match="there is no such file or folder"):
        open_fovs(tmp_path / "gone")
    with pytest.raises(DataError, match="nothing here can be read; readable are folders"):
        open_fovs(tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match="nothing here can be read"):
        open_fovs(tmp_path)
    with pytest.raises(DataError, match=r"notes\.txt: not an image"):
        open_fovs(tmp_path / "notes.txt")
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(DamagedFileError, match=r"x\.zarr"):
        open_fovs(tmp_path / "x.zarr")


@pytest.mark.data
def test_real_tree_opens_with_unique_names(data_dir):
    fovs = open_fovs(data_dir / "imaging_flow_cytometry")
    assert len({f.name for f in fovs}) == len(fovs) == 7
    assert fovs[0].name == "Experiment_1/G1/CP0008"


NOTES = {"model": {"holdout": None}}


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
def test_own_outputs_among_images_are_no_images(tmp_path, ending):
    png(tmp_path / "a_phase.png")
    write(tmp_path / f"predicted{ending}", [field("a"), field("b")], attributes=NOTES)
    previews = tmp_path / "model.run" / "previews"
    previews.mkdir(parents=True)
    png(previews / "step_1.png", shape=(5, 6, 3))
    (tmp_path / "model.run" / RUN_MARKER).touch()
    assert names(tmp_path) == ["a"]
    (tmp_path / "a_phase.png").unlink()
    assert sorted(names(tmp_path)) == ["a", "b"]


def test_predictions_of_one_target_keep_their_names(tmp_path):
    write(tmp_path / "p.ome.tif", [field(n, (1, 1, 5, 6)) for n in "ab"], attributes=NOTES)
    assert [f.channel_names for f in open_fovs(tmp_path / "p")] == [("target 0",), ("target 0",)]
    assert names(tmp_path / "p") == ["a", "b"]


def test_linked_folders_open_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    for channel in ("phase", "dapi"):
        image = np.arange(30, dtype=np.uint16).reshape(5, 6)
        tifffile.imwrite(tmp_path / "here" / f"a_{channel}.tif", image)
    (tmp_path / "there").symlink_to(tmp_path / "here")
    (fov,) = open_fovs(tmp_path / "there")
    assert set(fov.channel_names) == {"phase", "dapi"}

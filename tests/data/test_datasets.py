import numpy as np
import pytest
import tifffile
import yaml

from isl.core.errors import ChannelError, ConfigError, DataError
from isl.data.dataset_config import read_datasets
from isl.data.datasets import COMMON_SOURCE, open_datasets

RNG = np.random.default_rng(0)


def write_field(folder, name, channels, size=24):
    folder.mkdir(exist_ok=True)
    for channel in channels:
        image = RNG.integers(1, 4000, (size, size)).astype(np.uint16)
        tifffile.imwrite(folder / f"{name}_{channel}.tif", image)


@pytest.fixture
def folder(tmp_path):
    for name in ("f1", "f2"):
        write_field(tmp_path / "neurons", name, ["phase", "DAPI", "MAP2"])
    write_field(tmp_path / "flow", "g1", ["Ch3", "Ch4"])
    return tmp_path


def write(folder, datasets=None, **more):
    both = {
        "neurons": {"data": "neurons", "targets": ["DAPI", "MAP2"]},
        "flow": {"data": ["flow"], "source": "Ch3", "targets": {"Ch4": "DNA"}, "modality": "dic"},
    }
    path = folder / "datasets.yaml"
    path.write_text(yaml.safe_dump({"datasets": datasets or both, **more}, sort_keys=False))
    return path


def test_fields_of_all_datasets_are_made_alike(folder):
    fovs = open_datasets(write(folder, aliases={"DNA": ["DAPI", "HOECHST"]}))
    assert [f.name for f in fovs] == ["neurons:f1", "neurons:f2", "flow:g1"]
    assert [f.dataset for f in fovs] == ["neurons", "neurons", "flow"]
    assert [f.channel_names for f in fovs] == [
        (COMMON_SOURCE, "DNA", "MAP2"),
        (COMMON_SOURCE, "DNA", "MAP2"),
        (COMMON_SOURCE, "DNA"),
    ]
    assert [f.channel(COMMON_SOURCE).modality for f in fovs] == ["phase", "phase", "dic"]
    dapi = tifffile.imread(folder / "neurons" / "f1_DAPI.tif")
    assert np.array_equal(fovs[0].read("DNA")[0], dapi)


def test_a_source_of_one_name_keeps_it(folder):
    (fov, _) = open_datasets(write(folder, {"a": {"data": "neurons"}}))
    assert fov.channel_names == ("phase", "DAPI", "MAP2")


def test_facts_in_the_file_win_where_the_images_say_nothing(folder):
    given = {
        "data": "neurons",
        "voxel_size": [None, 0.3, 0.4],
        "condition": "B",
        "donor": "d1",
    }
    fov = open_datasets(write(folder, {"a": given}))[0]
    assert tuple(fov.voxel_size) == (None, 0.3, 0.4)
    assert (fov.condition, fov.donor) == ("B", "d1")


def test_masks_and_shifts_become_nan(folder):
    image = RNG.integers(1, 4000, (24, 24)).astype(np.uint16)
    image[:10, :9] = 0
    image[20, 20] = 65535
    tifffile.imwrite(folder / "neurons" / "f1_DAPI.tif", image)
    given = {
        "data": "neurons",
        "masks": {"saturated": True, "zeros": "rectangles", "targets": ["DAPI"]},
        "shift_px": {"MAP2": [2, 0]},
    }
    fov = open_datasets(write(folder, {"a": given}))[0]
    missing = np.isnan(fov.read("DAPI")[0])
    assert missing[:10, :9].all()
    assert missing[20, 20]
    assert missing.sum() == 91
    assert np.isnan(fov.read("MAP2")[0]).sum() == 48


def test_saturation_is_that_of_the_type_also_of_a_moved_image(folder):
    given = {"data": "neurons", "masks": [{"zeros": "all"}, {"saturated": True}]}
    given["shift_px"] = {"DAPI": [0, 1]}
    fov = open_datasets(write(folder, {"a": given}))[0]
    assert np.isnan(fov.read("DAPI")[0]).sum() == 24
    assert not np.isnan(fov.read("MAP2")).any()


@pytest.mark.parametrize("key", ["shift_px", "masks"])
def test_shifts_and_masks_of_unknown_targets_are_refused(folder, key):
    about = {"shift_px": {"DAPY": [1, 1]}, "masks": {"zeros": "all", "targets": ["DAPY"]}}
    given = {"data": "neurons", key: about[key]}
    with pytest.raises(ConfigError, match=f"a: '{key}' speaks of DAPY, but the targets are DAPI"):
        open_datasets(write(folder, {"a": given}))


def test_one_name_needs_no_list(folder):
    given = {"data": "neurons", "targets": "DAPI", "shift_px": {"DNA": [1, 1]}}
    fov = open_datasets(write(folder, {"a": given}, aliases={"DNA": "DAPI"}))[0]
    assert fov.channel_names == ("phase", "DNA")


def test_mask_of_a_channel_that_is_not_learned(folder):
    for name in ("f1", "f2"):
        mask = np.zeros((24, 24), np.uint8)
        mask[4:10, 4:10] = 3
        tifffile.imwrite(folder / "neurons" / f"{name}_mask.tif", mask)
    given = {"data": "neurons", "targets": ["DAPI"], "masks": [{"channel": "mask"}]}
    fov = open_datasets(write(folder, {"a": given}))[0]
    assert fov.channel_names == ("phase", "DAPI")
    assert np.isfinite(fov.read("DAPI")).sum() == 36
    given["masks"] = [{"channel": "nuclei"}]
    with pytest.raises(ChannelError, match="no channel 'nuclei' for a mask"):
        open_datasets(write(folder, {"a": given}))


def test_field_that_lacks_some_targets_is_used(folder):
    (folder / "neurons" / "f2_MAP2.tif").unlink()
    fovs = open_datasets(write(folder))
    assert fovs[1].channel_names == (COMMON_SOURCE, "DAPI")


def test_field_that_cannot_be_used_is_reported(folder):
    for channel in ("DAPI", "MAP2"):
        (folder / "neurons" / f"f2_{channel}.tif").unlink()
    reported = []
    fovs = open_datasets(write(folder), on_bad=lambda name, error: reported.append(name))
    assert [f.name for f in fovs] == ["neurons:f1", "flow:g1"]
    assert reported == ["neurons:f2"]
    with pytest.raises(ChannelError, match="data set neurons: "):
        open_datasets(write(folder))


def test_remedy_for_an_unknown_channel_is_in_the_file(folder):
    path = write(folder, {"a": {"data": "flow", "source": "Ch9"}})
    with pytest.raises(ChannelError, match=r"'targets' of data set a in .*datasets\.yaml"):
        open_datasets(path)


def test_two_channels_of_one_target_are_refused(folder):
    with pytest.raises(ConfigError, match="DAPI, MAP2 of field f1 are all"):
        open_datasets(write(folder, {"a": {"data": "neurons"}}, aliases={"X": ["DAPI", "MAP2"]}))


def test_settings_follow_from_the_file(folder):
    both = {
        "a": {"data": "neurons", "holdout": "fovs:f1", "weight": 2},
        "b": {"data": "flow", "holdout": "columns:0-9"},
    }
    config = read_datasets(write(folder, both, training={"max_steps": 3}))
    assert config.settings() == {
        "holdout": "a[fovs:f1]; b[columns:0-9]",
        "dataset_weights": ["a=2"],
        "max_steps": 3,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("just a word", "lists no data sets"),
        ("datasets: {}", "at least 1"),
        (
            "datasets: {a: {data: x, sourc: y}}",
            "datasets.a.sourc is not known here; known are data",
        ),
        ("datasets: {a: {}}", "datasets.a.data: is missing"),
        ("datasets:", "datasets: write 'name: value' lines"),
        ("datasets: {a: {data: x, targets: 3}}", "write a list, such as"),
        ("datasets:\n  a: {data: x}\n  a: {data: y}", "'a' stands twice in .* line 2"),
        ("datasets: {a: {data: x}}\naliases: {A: [B], B: [C]}", "write all names below A"),
        ("datasets: {'a;b': {data: x}}", "no name for a data set"),
        ("datasets: {a: {data: x, weight: 0}}", "weight"),
        ("datasets: {a: {data: x, voxel_size: [1, 2]}}", "voxel_size"),
        (
            "datasets: {a: {data: x, masks: {zero: all}}}",
            "zero is not known here; known are targets",
        ),
        ("datasets: {a: {data: x}}\naliases: {A: [C], B: [C]}", "alias of A and of B"),
        ("datasets: [", "is not YAML"),
    ],
)
def test_files_that_make_no_sense(tmp_path, text, message):
    path = tmp_path / "datasets.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_datasets(path)


def test_missing_files(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_datasets(tmp_path / "none.yaml")
    with pytest.raises(DataError, match="no such file"):
        open_datasets(write(tmp_path, {"a": {"data": "nothing"}}))

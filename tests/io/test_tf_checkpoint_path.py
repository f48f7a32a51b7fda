import pytest

from isl.core.errors import DamagedFileError, DataError
from isl.io.tf_checkpoint_path import find_index


@pytest.fixture
def folder(tmp_path):
    for step in (1, 20):
        (tmp_path / f"model.ckpt-{step}.index").write_bytes(b"")
        (tmp_path / f"model.ckpt-{step}.data-00000-of-00001").write_bytes(b"")
    return tmp_path


def write_state(folder, prefix):
    (folder / "checkpoint").write_text(
        f'model_checkpoint_path: "{prefix}"\nall_model_checkpoint_paths: "model.ckpt-1"\n'
    )


@pytest.mark.parametrize("given_name", ["model.ckpt-1", "model.ckpt-1.index"])
def test_a_prefix_and_an_index_choose_themselves(folder, given_name):
    write_state(folder, "model.ckpt-20")
    assert find_index(folder / given_name) == folder / "model.ckpt-1.index"


@pytest.mark.parametrize(
    "prefix",
    [
        "model.ckpt-20",
        "/home/someone/train/model.ckpt-20",
        "../train/model.ckpt-20",
        r"C:\\train\\model.ckpt-20",
        r"model.\143kpt-20",
    ],
)
def test_the_state_file_chooses(folder, prefix):
    write_state(folder, prefix)
    assert find_index(folder) == folder / "model.ckpt-20.index"


def test_the_state_file_may_point_into_another_folder(folder):
    (folder / "run").mkdir()
    write_state(folder / "run", "../model.ckpt-20")
    assert find_index(folder / "run").resolve() == folder / "model.ckpt-20.index"


def test_names_outside_ascii_are_understood(tmp_path):
    (tmp_path / "modèle.index").write_bytes(b"")
    for prefix in ("modèle", r"mod\303\250le"):
        write_state(tmp_path, prefix)
        assert find_index(tmp_path) == tmp_path / "modèle.index"


def test_the_only_checkpoint_of_a_folder_is_taken(folder):
    (folder / "model.ckpt-1.index").unlink()
    assert find_index(folder) == folder / "model.ckpt-20.index"


def test_several_checkpoints_are_listed(folder):
    with pytest.raises(DataError, match=r"model\.ckpt-1\.index, model\.ckpt-20\.index.*give the"):
        find_index(folder)


def test_long_lists_are_cut(folder):
    for step in range(100, 120):
        (folder / f"model.ckpt-{step}.index").write_bytes(b"")
    with pytest.raises(DataError, match=r"holds 22 checkpoints \(.*, \.\.\.\)"):
        find_index(folder)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no TensorFlow checkpoint"):
        find_index(tmp_path)


def test_a_state_file_that_names_a_missing_checkpoint_is_reported(folder):
    write_state(folder, "model.ckpt-3")
    with pytest.raises(DataError, match=r"names model\.ckpt-3, .*found: model\.ckpt-1\.index"):
        find_index(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n" * 100_000,
        b"\xff\xfe\x00binary",
        b'model_checkpoint_path: ""',
        b'model_checkpoint_path: "model.ck',
        rb'model_checkpoint_path: "\xff\xff"',
        rb'model_checkpoint_path: "\ud800"',
    ],
)
def test_damaged_state_files_are_refused(folder, content):
    (folder / "checkpoint").write_bytes(content)
    with pytest.raises(DamagedFileError, match="checkpoint: "):
        find_index(folder)


@pytest.mark.parametrize("name", ["model.ckpt-3", "other.index", "nothing/here", "a\0b"])
def test_what_does_not_exist_is_named(folder, name):
    with pytest.raises(DataError, match="give its folder, its prefix"):
        find_index(folder / name)


def test_names_that_are_too_long_are_refused(folder):
    with pytest.raises(DamagedFileError, match="cannot be read as a TensorFlow checkpoint"):
        find_index(folder / ("a" * 400))


def test_checkpoints_of_the_old_format_are_explained(folder):
    (folder / "model.ckpt-7").write_bytes(b"old")
    with pytest.raises(DataError, match="older single files are not read"):
        find_index(folder / "model.ckpt-7")

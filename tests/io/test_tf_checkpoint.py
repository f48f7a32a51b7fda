import numpy as np
import pytest
from tf_bundles import (
    entry_message,
    header_message,
    message,
    number,
    shard_path,
    table,
    write_bundle,
    write_index,
)

from isl.core.errors import DamagedFileError, DataError, IslError
from isl.io.tf_checkpoint import read_tf_checkpoint

ARRAYS = {
    "Conv/weights": np.linspace(-1, 1, 24, dtype=np.float32).reshape(1, 2, 3, 4),
    "Conv/biases": np.array([0.5, -2, np.inf], np.float32),
    "double": np.array([[1e-300], [np.pi]]),
    "half": np.array([1.5, -0.25], np.float16),
    "global_step": np.array(2**40, np.int64),
    "counts": np.array([-1, 7], np.int32),
    "bytes": np.arange(5, dtype=np.uint8),
    "flags": np.array([[True, False, True]]),
    "flag": np.array(True),
    "empty": np.zeros((0, 3), np.float32),
}


@pytest.fixture
def prefix(tmp_path):
    return tmp_path / "model.ckpt-7"


def assert_same(found, expected):
    assert list(found) == sorted(expected, key=str.encode)
    for name, array in expected.items():
        assert isinstance(found[name], np.ndarray)
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, strict=True)


@pytest.mark.parametrize("snappy", [False, True])
@pytest.mark.parametrize("per_block", [1, 3, 1000])
@pytest.mark.parametrize("shards", [1, 3])
def test_variables_survive(prefix, shards, per_block, snappy):
    write_bundle(prefix, ARRAYS, shards, per_block, snappy)
    assert_same(read_tf_checkpoint(prefix), ARRAYS)


def test_many_variables_survive(prefix):
    arrays = {f"tower_{i}/expand/w": np.full((i % 3, 2), i, np.float32) for i in range(500)}
    write_bundle(prefix, arrays, shards=2, per_block=50)
    assert_same(read_tf_checkpoint(prefix), arrays)


def test_every_way_to_name_a_checkpoint_is_taken(prefix):
    index = write_bundle(prefix, ARRAYS)
    for path in (prefix, str(prefix), index, prefix.parent, str(prefix.parent)):
        assert_same(read_tf_checkpoint(path), ARRAYS)


def test_arrays_can_be_written(prefix):
    write_bundle(prefix, ARRAYS)
    assert all(array.flags.writeable for array in read_tf_checkpoint(prefix).values())


def test_bfloat16_becomes_float32(prefix):
    data = np.array([1.5, -3.0], np.float32).view(np.uint32) >> 16
    data = data.astype(np.uint16).tobytes()
    shard_path(prefix).write_bytes(data)
    write_index(prefix, [(b"a", entry_message((2,), 14, 0, data))])
    np.testing.assert_array_equal(
        read_tf_checkpoint(prefix)["a"], np.array([1.5, -3.0], np.float32), strict=True
    )


def test_a_checkpoint_without_variables_is_empty(prefix):
    write_bundle(prefix, {})
    assert read_tf_checkpoint(prefix) == {}


def write_entry(prefix, entry, key=b"Conv/weights", data=bytes(8), header=None):
    shard_path(prefix).write_bytes(data)
    write_index(prefix, [(key, entry)], header)


@pytest.mark.parametrize("dtype", [0, 7, 8, 99])
def test_other_types_are_refused_by_name(prefix, dtype):
    write_entry(prefix, entry_message((2,), dtype, 0, bytes(8)))
    with pytest.raises(DataError, match=f"variable Conv/weights has TensorFlow type {dtype}"):
        read_tf_checkpoint(prefix)


def test_split_variables_are_refused_by_name(prefix):
    write_entry(prefix, entry_message((2,), 1, 0, bytes(8)) + message(7, b""))
    with pytest.raises(DataError, match="variable Conv/weights is split into slices"):
        read_tf_checkpoint(prefix)
    write_entry(prefix, entry_message((2,), 1, 0, bytes(8)), b"\0Conv/weights\0\1\x02")
    with pytest.raises(DataError, match="variable Conv/weights is split into slices"):
        read_tf_checkpoint(prefix)


@pytest.mark.parametrize(
    ("header", "found"),
    [(header_message(endianness=1), "big endian"), (header_message(oldest_reader=2), r"\(2\)")],
)
def test_other_versions_are_refused(prefix, header, found):
    write_entry(prefix, entry_message((2,), 1, 0, bytes(8)), header=header)
    with pytest.raises(DataError, match=found):
        read_tf_checkpoint(prefix)


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (entry_message((2,), 1, 0, bytes(8), size=4), r"shape \(2,\) cannot have 4 bytes"),
        (entry_message((3,), 1, 0, bytes(8)), "cannot have 8 bytes"),
        (entry_message((2**64 - 1,), 1, 0, bytes(8)), "impossible shape"),
        (entry_message((0, 2**62, 2**62), 1, 0, b""), "impossible shape"),
        (entry_message((1,) * 40, 1, 0, bytes(4)), "impossible shape"),
        (entry_message((2**40,), 1, 0, b"", size=2**42), "ends before Conv/weights does"),
        (entry_message((2,), 1, 4, bytes(8)), "ends before Conv/weights does"),
        (entry_message((2,), 1, 2**64 - 1, bytes(8)), "ends before Conv/weights does"),
        (entry_message((2,), 1, 0, bytes(8), shard=1), "lies in shard 1 of 1"),
        (entry_message((2,), 1, 0, bytes(8), checksum=5), "checksum of Conv/weights"),
        (entry_message((2,), 1, 0, b"12345678"), "checksum of Conv/weights"),
        (number(1, 1) + number(2, 5), "should be a message"),
        (message(1, b"a"), "should be a number"),
        (b"\xff", "no valid integer"),
    ],
)
def test_impossible_entries_are_refused(prefix, entry, found):
    write_entry(prefix, entry)
    with pytest.raises(DamagedFileError, match=found) as caught:
        read_tf_checkpoint(prefix)
    assert "model.ckpt-7" in str(caught.value)
    assert "copy" in str(caught.value)


def test_variables_that_share_bytes_are_refused(prefix):
    shard_path(prefix).write_bytes(bytes(8))
    entry = entry_message((2,), 1, 0, bytes(8))
    write_index(prefix, [(b"a", entry), (b"b", entry)])
    with pytest.raises(DamagedFileError, match="it ends before b does"):
        read_tf_checkpoint(prefix)


def test_names_that_are_no_text_are_refused(prefix):
    write_entry(prefix, entry_message((2,), 1, 0, bytes(8)), b"\xff\xfe")
    with pytest.raises(DamagedFileError, match="UnicodeDecodeError"):
        read_tf_checkpoint(prefix)


def test_missing_shards_are_named(prefix):
    write_bundle(prefix, ARRAYS, shards=2)
    shard_path(prefix, 1, 2).unlink()
    with pytest.raises(DamagedFileError, match=r"data-00001-of-00002: this part .* is missing"):
        read_tf_checkpoint(prefix)


def test_truncated_shards_are_refused(prefix):
    write_bundle(prefix, ARRAYS)
    shard = shard_path(prefix)
    data = shard.read_bytes()
    for size in (0, 1, len(data) // 2, len(data) - 1):
        shard.write_bytes(data[:size])
        with pytest.raises(DamagedFileError, match=r"data-00000-of-00001: it ends before"):
            read_tf_checkpoint(prefix)


def test_tables_of_another_program_are_refused(prefix):
    index = prefix.with_name(prefix.name + ".index")
    index.write_bytes(table([(b"key", b"value")]))
    with pytest.raises(DamagedFileError, match="it has no header"):
        read_tf_checkpoint(index)


def arrays_or_message(prefix):
    try:
        return read_tf_checkpoint(prefix)
    except IslError as error:
        return str(error)


@pytest.mark.parametrize("bits", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize("snappy", [False, True])
def test_no_changed_byte_crashes_or_goes_unnoticed(prefix, snappy, bits):
    arrays = {name: ARRAYS[name] for name in ("Conv/biases", "flag", "global_step")}
    index = write_bundle(prefix, arrays, per_block=2, snappy=snappy)
    for path in (index, shard_path(prefix)):
        data = path.read_bytes()
        for position in range(len(data)):
            changed = bytearray(data)
            changed[position] ^= bits
            path.write_bytes(changed)
            found = arrays_or_message(prefix)
            if isinstance(found, str):
                assert path.name in found
            else:
                assert_same(found, arrays)
        path.write_bytes(data)


@pytest.mark.data
def test_a_checkpoint_that_tensorflow_wrote_is_read(reference_dir):
    arrays = read_tf_checkpoint(reference_dir)
    moving = ("/moving_mean", "/moving_variance")
    trainable = sum(a.size for name, a in arrays.items() if not name.endswith(moving))
    assert (len(arrays), trainable) == (1252, 1_141_984)
    assert {a.dtype for a in arrays.values()} == {np.dtype(np.float32)}
    assert all(np.isfinite(a).all() for a in arrays.values())
    assert arrays["Conv/weights"].shape == (1, 1, 52, 16)

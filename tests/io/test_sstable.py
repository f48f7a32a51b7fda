import imagecodecs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tf_bundles import block, stored_block, table, table_of_blocks, varint

from isl.core.errors import DamagedFileError, DataError
from isl.io import sstable
from isl.io.sstable import masked_crc32c, read_table

ENTRIES = [
    (f"layer_{i // 10}/weights_{i:04d}".encode(), bytes([i % 251]) * (i % 7)) for i in range(200)
]
ENTRIES.sort()


def read(folder, data):
    path = folder / "a.index"
    path.write_bytes(data)
    return read_table(path, "a test table")


def refuse(folder, data, found):
    with pytest.raises(DamagedFileError, match=found) as caught:
        read(folder, data)
    assert "a.index" in str(caught.value)


def test_checksum_is_that_of_the_format():
    # The check value of CRC-32C, masked: rotated right by 15 bits plus a constant.
    crc = 0xE3069283
    assert masked_crc32c(b"123456789") == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


@pytest.mark.parametrize("snappy", [False, True])
@pytest.mark.parametrize("per_block", [1, 7, 1000])
def test_entries_survive(tmp_path, per_block, snappy):
    found = read(tmp_path, table(ENTRIES, per_block, snappy))
    assert list(found.items()) == ENTRIES


@given(content=st.dictionaries(st.binary(max_size=8), st.binary(max_size=8), max_size=20))
def test_any_entries_survive(tmp_path_factory, content):
    entries = sorted(content.items())
    assert read(tmp_path_factory.mktemp("table"), table(entries, 3)) == content


def test_keys_share_their_beginnings():
    assert len(block(ENTRIES)) < 0.7 * sum(len(k) + len(v) + 3 for k, v in ENTRIES)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"b\.index: there is no such file"):
        read_table(tmp_path / "b.index", "a test table")


@pytest.mark.parametrize("data", [b"", b"short", b"x" * 500, b"\0" * 48])
def test_foreign_files_are_refused(tmp_path, data):
    refuse(tmp_path, data, "footer of a table")


def test_no_truncated_file_is_read(tmp_path):
    data = table(ENTRIES[:5], 2)
    for size in range(len(data)):
        refuse(tmp_path, data[:size], "cannot be read as a test table")


def test_changed_bytes_are_found(tmp_path):
    data = bytearray(table(ENTRIES, 20))
    data[100] ^= 1
    refuse(tmp_path, bytes(data), "checksum of the block at byte 0 does not match")


def test_keys_out_of_order_are_refused(tmp_path):
    refuse(tmp_path, table([(b"b", b""), (b"a", b"")]), "key b'a' is not in order")
    refuse(tmp_path, table([(b"a", b"1"), (b"a", b"2")], 1), "key b'a' is not in order")


def test_unknown_compression_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sstable, "_PLAIN", 77)
    refuse(tmp_path, table(ENTRIES), "unknown compression 0")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "a block of 0 bytes"),
        ((2**32 - 1).to_bytes(4, "little"), "announces 4294967295 restart points"),
        (varint(1) + varint(0) + varint(0) + bytes(4), "reaches beyond its block"),
        (varint(0) + varint(2**63) + varint(0) + bytes(4), "reaches beyond its block"),
        (varint(0) + varint(0) + varint(1) + bytes(4), "reaches beyond its block"),
        (varint(0) + b"\x80" + (0).to_bytes(4, "little"), "ValueError"),
    ],
)
def test_hostile_blocks_are_refused(tmp_path, content, found):
    refuse(tmp_path, table_of_blocks([(b"a", content)]), found)


@pytest.mark.parametrize(("offset", "size"), [(0, 2**62), (2**63, 1), (0, 10**6)])
def test_blocks_beyond_the_file_are_refused(tmp_path, offset, size):
    content = block([(b"a", varint(offset) + varint(size))])
    footer = bytes([0, 0, 0]) + varint(len(content))
    data = stored_block(content) + footer.ljust(40, b"\0") + table([])[-8:]
    refuse(tmp_path, data, f"a block of {size} bytes at byte {offset} reaches beyond the file")


def test_one_block_under_many_keys_is_refused(tmp_path):
    content = block([(b"a", b"1")])
    first = stored_block(content)
    handle = varint(0) + varint(len(content))
    handles = block([(b"a", handle), (b"b", handle)])
    footer = bytes([0, 0]) + varint(len(first)) + varint(len(handles))
    data = first + stored_block(handles) + footer.ljust(40, b"\0") + table([])[-8:]
    refuse(tmp_path, data, "the block at byte 0 overlaps the one before")


def test_contents_far_larger_than_the_file_are_refused(tmp_path, monkeypatch):
    entries = [(b"k" * 1000 + bytes([i]), b"") for i in range(100)]
    data = table(entries)
    assert read(tmp_path, data) == dict(entries)
    monkeypatch.setattr(sstable, "_MAX_CONTENT_BYTES", 50_000)
    refuse(tmp_path, data, "the entries unpack to more")


def test_compressed_blocks_that_explode_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        imagecodecs, "snappy_encode", lambda _: varint(2**40) + b"\xfe\x01\x00" * 10
    )
    refuse(tmp_path, table(ENTRIES, snappy=True), "announces 1099511627776 bytes")


def test_damaged_compressed_blocks_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(imagecodecs, "snappy_encode", lambda _: varint(50) + b"\xff" * 10)
    refuse(tmp_path, table(ENTRIES, snappy=True), "cannot be read as a test table")


def test_very_large_files_are_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(sstable, "_MAX_TABLE_BYTES", 100)
    refuse(tmp_path, bytes(101), "has 101 bytes, too many")

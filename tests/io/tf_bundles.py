"""A minimal writer of TensorFlow checkpoints (TensorBundle), for tests of their reader."""

import imagecodecs
import numpy as np

from isl.io.sstable import masked_crc32c

MAGIC = 0xDB4775248B80FB57
DTYPE_NUMBER = {"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int64": 9, "bool": 10}
DTYPE_NUMBER["float16"] = 19


def varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def number(field, value):
    return varint(field << 3) + varint(value)


def fixed32(field, value):
    return varint(field << 3 | 5) + value.to_bytes(4, "little")


def message(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def shape_message(shape):
    return b"".join(message(2, number(1, side)) for side in shape)


def entry_message(shape, dtype, offset, data, shard=0, checksum=None, size=None):
    checksum = masked_crc32c(data) if checksum is None else checksum
    size = len(data) if size is None else size
    return b"".join(
        [
            number(1, dtype),
            message(2, shape_message(shape)),
            number(3, shard),
            number(4, offset),
            number(5, size),
            fixed32(6, checksum),
        ]
    )


def header_message(shards=1, endianness=0, oldest_reader=0):
    version = number(1, 1) + number(2, oldest_reader)
    return number(1, shards) + number(2, endianness) + message(3, version)


def block(entries, restart_interval=16):
    """Keys as the difference to the one before, but for every sixteenth."""
    body, restarts, last = b"", [], b""
    for count, (key, value) in enumerate(entries):
        if count % restart_interval == 0:
            restarts.append(len(body))
            last = b""
        shared = 0
        while shared < min(len(key), len(last)) and key[shared] == last[shared]:
            shared += 1
        body += varint(shared) + varint(len(key) - shared) + varint(len(value))
        body += key[shared:] + value
        last = key
    restarts = restarts or [0]
    return body + b"".join(r.to_bytes(4, "little") for r in [*restarts, len(restarts)])


def stored_block(content, snappy=False):
    content = bytes(imagecodecs.snappy_encode(content)) if snappy else content
    content += bytes([snappy])
    return content + masked_crc32c(content).to_bytes(4, "little")


def table(entries, per_block=1000, snappy=False):
    """Bytes of a table with the entries in the given order."""
    blocks = [entries[i : i + per_block] for i in range(0, len(entries), per_block)]
    return table_of_blocks([(part[-1][0], block(part)) for part in blocks], snappy)


def table_of_blocks(blocks, snappy=False):
    """Bytes of a table of ready blocks, each with its last key."""
    data, handles = b"", []
    for key, content in blocks:
        stored = stored_block(content, snappy)
        handles.append((key, varint(len(data)) + varint(len(stored) - 5)))
        data += stored
    meta = varint(len(data)) + varint(8)
    data += stored_block(block([]))
    content = block(handles)
    footer = meta + varint(len(data)) + varint(len(content))
    return data + stored_block(content) + footer.ljust(40, b"\0") + MAGIC.to_bytes(8, "little")


def write_bundle(prefix, arrays, shards=1, per_block=1000, snappy=False):
    """Write an index and its data files; variables take turns over the shards."""
    data = [b""] * shards
    entries = []
    for count, name in enumerate(sorted(arrays, key=str.encode)):
        array, shard = np.asarray(arrays[name]), count % shards
        content = array.tobytes()
        dtype = DTYPE_NUMBER[array.dtype.name]
        entry = entry_message(array.shape, dtype, len(data[shard]), content, shard)
        entries.append((name.encode(), entry))
        data[shard] += content
    for shard, content in enumerate(data):
        shard_path(prefix, shard, shards).write_bytes(content)
    return write_index(prefix, entries, header_message(shards), per_block, snappy)


def write_index(prefix, entries, header=None, per_block=1000, snappy=False):
    header = header_message() if header is None else header
    index = prefix.with_name(prefix.name + ".index")
    index.write_bytes(table([(b"", header), *entries], per_block, snappy))
    return index


def shard_path(prefix, shard=0, shards=1):
    return prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}")

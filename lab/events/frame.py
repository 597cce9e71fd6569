"""How an event file is framed, which is TFRecord's way, and how one is cut short at a step.

A record is  length (u64), masked CRC-32C of the length, the event, masked CRC-32C of the event.

CRC-32C is linear over GF(2): with T_k[b] the register after a byte b and k bytes of zeros, the register after n bytes
is the xor of T_{n−1−i}[byte_i], the start being xored into the first four. So a block of 256 bytes is one look-up in a
table and one reduction, whatever is in it, and a picture costs a millisecond where a loop over its bytes costs ten.
"""

import struct
from functools import cache
from typing import Any

_BLOCK = 256


def framed(data: bytes) -> bytes:
    """The record that holds an event's bytes."""
    length = struct.pack("<Q", len(data))
    return length + masked_crc(length) + data + masked_crc(data)


def size_before(events: bytes, step: int) -> int:
    """How many bytes of an event file come before `step`, or before the record that a kill tore."""
    from tensorboard.compat.proto import event_pb2

    start = 0
    while start + 12 <= len(events) and events[start + 8 : start + 12] == masked_crc(events[start : start + 8]):
        end = start + 12 + struct.unpack_from("<Q", events, start)[0]
        if end + 4 > len(events) or event_pb2.Event.FromString(events[start + 12 : end]).step >= step:
            break
        start = end + 4
    return start


def masked_crc(data: bytes) -> bytes:
    """CRC-32C (Castagnoli) of `data`, rotated and shifted as TFRecord does, since it may hold CRCs itself."""
    crc = crc_by_blocks(data) if len(data) >= _BLOCK else crc_by_bytes(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def crc_by_bytes(data: bytes) -> int:
    """CRC-32C, a byte at a time."""
    table = _byte_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def crc_by_blocks(data: bytes) -> int:
    """CRC-32C of at least four bytes, a block at a time."""
    import numpy as np

    tables = _block_tables()
    start = bytes(byte ^ 0xFF for byte in data[:4])
    # Zeros before the first byte leave a register of zeros as it is.
    padded = bytes(-len(data) % _BLOCK) + start + data[4:]
    blocks = np.frombuffer(padded, dtype=np.uint8).reshape(-1, _BLOCK)
    own = np.bitwise_xor.reduce(tables[np.arange(_BLOCK), blocks], axis=1).tolist()
    first = tables[:4].tolist()
    crc = 0
    for block in own:
        crc = (
            block ^ first[0][crc & 0xFF] ^ first[1][crc >> 8 & 0xFF] ^ first[2][crc >> 16 & 0xFF] ^ first[3][crc >> 24]
        )
    return crc ^ 0xFFFFFFFF


@cache
def _byte_table() -> tuple[int, ...]:
    """T_0."""
    table = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ (0x82F63B78 if entry & 1 else 0)
        table.append(entry)
    return tuple(table)


@cache
def _block_tables() -> Any:
    """T_255, …, T_0, (256, 256): row i for the i-th byte of a block."""
    import numpy as np

    table = np.array(_byte_table(), dtype=np.uint32)
    tables = [table]
    for _ in range(_BLOCK - 1):
        last = tables[-1]
        tables.append(table[last & 0xFF] ^ (last >> 8))
    return np.stack(tables[::-1])

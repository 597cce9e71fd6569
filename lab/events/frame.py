"""How an event file is framed, which is TFRecord's way, and how one is cut short at a step.

A record is  length (u64), masked CRC-32C of the length, the event, masked CRC-32C of the event.
"""

import struct

import google_crc32c


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
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

"""Messages to an engine as bytes, from the tables of docs/protocol.md: the records of requests, and what is put around them.

Everything here is plain data; nothing is sent. Units and ranges are the protocol's. What a field has no room for is a ValueError.
"""
from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

PORT: Final = 10202
VERSION: Final = 1
BYTES_MAX: Final = 1452  # of a message
UNPACKED_MAX: Final = 16384 + 128  # of an answer that came packed and is not any more
NIL: Final = bytes(16)

PING, PONG, UPDATE, QUERY, RESPONSE = 0x03, 0x04, 0x10, 0x11, 0x12
SUBSCRIBE, WITHDRAW, NOTICE, EXPLAIN, DETAILED, ERASE, ERASED = 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A
STATE_REQUEST, STATE_RESPONSE = 0x21, 0x22
FLAG_ACK, FLAG_RESPONSE = 1, 2

UPDATES_MAX, WITHDRAWALS_MAX, QUERIES_MAX, FENCES_MAX, FENCE_NAMES_MAX = 16, 48, 10, 7, 165
NEAREST_MAX: Final = 1000
PAYLOAD_MAX: Final = 512

HAS_ORIGIN, HEIGHT_RANGE, DISTANCE_3D, HAS_CURSOR, HAS_EXTENSION, WITH_DETAILS = 1, 2, 4, 8, 16, 32
VOLUME, FILTER, TIME, RESOLUTION = 1, 2, 3, 4  # blocks of a query's extension
OPEN, ADD, REMOVE, RESUME, ACKNOWLEDGE, CLOSE, RENEW = range(1, 8)
MOVES, FILTER_UPDATES, BATCH_UPDATES, PAYLOADS = 1, 2, 4, 8  # flags of OPEN
FOLLOW: Final = 1  # flag of a fence

Vector = tuple[float, float, float]

HEADER = struct.Struct("<BBHIQQQHHI16sQ16s")
PREAMBLE = struct.Struct("<16sII")
_UPDATE = struct.Struct("<16s3dIiIIff3eHHBBBBH")
_WITHDRAWAL = struct.Struct("<16sIi")
_QUERY = struct.Struct("<IBBHHHHH3d3d3dffQQHHIQ")
_FENCE = struct.Struct("<IHHfIII16s")
_SUBSCRIBE = struct.Struct("<IIBBHHHfIQIIQ")
_EXPLAIN = struct.Struct("<16sIIQ")
_BLOCK = struct.Struct("<HHI")
_ERASE = struct.Struct("<16sIIQ")
_STATE = struct.Struct("<HHIQ")
assert [s.size for s in (HEADER, PREAMBLE, _UPDATE, _WITHDRAWAL, _QUERY, _FENCE, _SUBSCRIBE, _EXPLAIN, _BLOCK, _ERASE, _STATE)] == \
    [80, 24, 80, 24, 128, 40, 48, 32, 8, 32, 16]


def _pack(layout: struct.Struct, *values: object) -> bytes:
    try:
        return layout.pack(*values)
    except (struct.error, OverflowError) as fault:
        raise ValueError(f"a number that its field has no room for: {fault}") from None


def packed(layout: str, *values: object) -> bytes:
    """As struct.pack, but a ValueError where that has no room or other values are wanted."""
    return _pack(struct.Struct(layout), *values)


def padded(data: bytes) -> bytes:
    """With zeros to a multiple of eight."""
    return data + bytes(-len(data) % 8)


def block(kind: int, content: bytes) -> bytes:
    """One block of an extension or of details."""
    return padded(_pack(_BLOCK, kind, len(content), 0) + content)


class Header(NamedTuple):
    type: int
    flags: int = 0
    stream_id: int = 0
    sequence: int = 0
    timestamp: int = 0
    session_id: int = 0
    items: int = 0  # the field `count`
    space_id: bytes = NIL


class UpdateRecord(NamedTuple):
    entity_id: bytes
    position: Vector
    sequence: int
    time_offset: int = 0
    ttl: int = 0
    duration: int = 0
    radius: float = 0.0
    precision: float = 0.0
    velocity: Vector = (0.0, 0.0, 0.0)
    frequency: int = 0
    update_frequency: int = 0
    position_confidence: int = 0
    status_confidence: int = 0
    entity_type: int = 0
    custom_state: int = 0
    attributes: int = 0

    def pack(self) -> bytes:
        u = self
        return _pack(_UPDATE, u.entity_id, *u.position, u.sequence, u.time_offset, u.ttl, u.duration, u.radius, u.precision, *u.velocity,
                     u.frequency, u.update_frequency, u.position_confidence, u.status_confidence, u.entity_type, u.custom_state,
                     u.attributes)


class QueryRecord(NamedTuple):
    """Its extension follows behind the last query of the message, not behind itself."""

    query_id: int
    kind: int
    priority: int = 0
    flags: int = 0
    max_results: int = 0
    timeout: int = 0
    type_mask: int = 0
    state_mask: int = 0
    a: Vector = (0.0, 0.0, 0.0)
    b: Vector = (0.0, 0.0, 0.0)
    origin: Vector = (0.0, 0.0, 0.0)
    height_min: float = 0.0
    height_max: float = 0.0
    cursor: tuple[int, int] = (0, 0)
    extension: bytes = b""

    def pack(self) -> bytes:
        q = self
        return _pack(_QUERY, q.query_id, q.kind, q.priority, q.flags, q.max_results, q.timeout, q.type_mask, q.state_mask, *q.a, *q.b,
                     *q.origin, q.height_min, q.height_max, *q.cursor, len(q.extension), 0, 0, 0)


class FenceRecord(NamedTuple):
    fence_id: int
    query: QueryRecord
    flags: int = 0
    margin: float = 0.0
    enter_ms: int = 0
    leave_ms: int = 0
    follow_id: bytes = NIL

    def pack(self) -> bytes:
        return _pack(_FENCE, self.fence_id, self.flags, 0, self.margin, self.enter_ms, self.leave_ms, 0, self.follow_id) + \
            self.query.pack()


class Subscribe(NamedTuple):
    """The preamble of REGION_SUBSCRIBE."""

    subscription_id: int
    epoch: int
    op: int
    priority: int = 0
    flags: int = 0
    update_frequency: int = 0
    window: int = 0
    resolution: float = 0.0
    expiration: int = 0
    sequence: int = 0
    message: int = 0

    def pack(self) -> bytes:
        return _pack(_SUBSCRIBE, *self, 0, 0)


def message(header: Header, body: bytes) -> bytes:
    h = header
    data = _pack(HEADER, VERSION, h.type, h.flags, h.stream_id, h.sequence, h.timestamp, h.session_id, h.items, 0, 0, h.space_id, 0,
                 NIL) + body
    if len(data) > BYTES_MAX:
        raise ValueError(f"a message of {len(data)} bytes; {BYTES_MAX} are the most")
    return data


def withdrawal(entity_id: bytes, sequence: int, time_offset: int = 0) -> bytes:
    return _pack(_WITHDRAWAL, entity_id, sequence, time_offset)


def detailed(update: bytes, blocks: Sequence[tuple[int, bytes]]) -> bytes:
    """A record of DETAILED_UPDATE; blocks (type, content) in the order of their types."""
    body = update + b"".join(block(kind, content) for kind, content in blocks)
    mask = 0
    for kind, _ in blocks:
        mask |= 1 << (kind - 1)
    if HEADER.size + PREAMBLE.size + 8 + len(body) > BYTES_MAX:
        raise ValueError(f"a state and details of {8 + len(body)} bytes; {BYTES_MAX - HEADER.size - PREAMBLE.size} are the most")
    return _pack(_BLOCK, 8 + len(body), mask, 0) + body


def updates_body(broadcast_id: bytes, incarnation: int, records: Sequence[bytes]) -> bytes:
    """Of SPATIAL_UPDATE, DETAILED_UPDATE and WITHDRAW."""
    return _pack(PREAMBLE, broadcast_id, incarnation, 0) + b"".join(records)


def queries_body(queries: Sequence[QueryRecord]) -> bytes:
    return b"".join(q.pack() for q in queries) + b"".join(q.extension for q in queries)


def explain_body(entity_id: bytes, query: QueryRecord) -> bytes:
    return _pack(_EXPLAIN, entity_id, 1, 0, 0) + queries_body([query])


def explain_fence_body(entity_id: bytes, subscription_id: int, fence_id: int) -> bytes:
    """Of a fence of a subscription; where a query stands are zeros."""
    return _pack(_EXPLAIN, entity_id, 2, 0, fence_id << 32 | subscription_id) + bytes(128)


def subscribe_body(preamble: Subscribe, fences: Sequence[FenceRecord] = (), names: Sequence[int] = ()) -> bytes:
    """OPEN and ADD with fences, REMOVE with names, the others with neither."""
    return preamble.pack() + b"".join(f.pack() for f in fences) + b"".join(f.query.extension for f in fences) + \
        b"".join(packed("<II", name, 0) for name in names)


def erase_body(entity_id: bytes, incarnation: int) -> bytes:
    return _pack(_ERASE, entity_id, incarnation, 0, 0)


def state_body(first: int) -> bytes:
    return _pack(_STATE, 1, first, 0, 0)


def half(value: float) -> float:
    """What binary16 has room for: beyond ±65504 that."""
    return min(65504.0, max(-65504.0, value))


def confidence_byte(confidence: float | None) -> int:
    """0 = not stated, else 1 + 254 × it, rounded; it is from 0 to 1."""
    if confidence is None:
        return 0
    if not 0.0 <= confidence <= 1.0:
        raise ValueError(f"a confidence of {confidence}; it is from 0 to 1")
    # As binary32, which an engine's own client rounds in too.
    single: float = struct.unpack("<f", struct.pack("<f", confidence))[0]
    return 1 + int(single * 254 + 0.5)


def confidence(byte: int) -> float | None:
    return (byte - 1) / 254 if byte else None

"""Messages from an engine, checked to their last byte before anything of them is used: docs/protocol.md.

`decode` gives one of the classes here, or raises `Malformed` with the name of the fault as the protocol's table has it. A message is
at most 1452 bytes, or 16,512 where it came packed, so that what comes of one is bounded by itself.
"""
from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple, Union

from . import wire
from .values import Unsound, Value, read_context, read_metadata
from .wire import NIL, Header, Vector

APPLIED, ACCEPTED, COALESCED, REFUSED, DROPPED = range(5)
LAST, TRUNCATED, PACKET, SHORT, CELLS, DETAILED = 1, 2, 4, 8, 16, 32  # flags of an answer
HEIGHT_UNKNOWN, STALE = 8, 16  # bits of a result's state
ENTER, MOVE, LEAVE, SNAPSHOT_END, GAP, ENDED, PAYLOAD = range(1, 8)
NO_FAULT: Final = 0xFFFF
PIECE: Final = 48  # bytes of a payload in an event
_QUERY_PROGRAM: Final = 56
_DETAILS_MAX: Final = 1256
_CAUSES: Final = 0x7FFFFFE  # 1–26
_DECIDING: Final = 0x400FFFE  # 1–15, 26
_GOING: Final = 1 << 20 | 1 << 21  # LEAVING, OUTDATED
_HEIGHT_NAN: Final = bytes(6) + b"\xf8\x7f"

_ACK = struct.Struct("<16sQBBHI")
_ACK_RECORD = struct.Struct("<BBBBIII")
_ANSWER = struct.Struct("<IBBHQIHHQQQ")
_RESULT = struct.Struct("<16s3dif3e2sHBBBBBB")
_SHORT = struct.Struct("<16s3d")
_CELL = struct.Struct("<3dIffibBHI")
_BLOCK = struct.Struct("<HHI")
_EXPLANATION = struct.Struct("<QIIBBBBI16s3d5dfiIIIHBB")
_STATE = struct.Struct("<HHHBBQ")
_COUNTER = struct.Struct("<HHIQ")
_SUBSCRIBED = struct.Struct("<IIBBBBHHIIQIfQ")
_ERASED = struct.Struct("<16sQIBBBB")
_NOTICE = struct.Struct("<IIQQQ")
_EVENT = struct.Struct("<IBBHQ")
assert [s.size for s in (_ACK, _ACK_RECORD, _ANSWER, _RESULT, _SHORT, _CELL, _EXPLANATION, _STATE, _COUNTER, _SUBSCRIBED, _ERASED,
                         _NOTICE, _EVENT)] == [32, 16, 48, 64, 40, 48, 128, 16, 16, 48, 32, 32, 16]


class Malformed(Exception):
    """A message that is not sound; its text is the reason's name."""


class AckRecord(NamedTuple):
    status: int
    code: int
    reason: int
    known_incarnation: int
    known_sequence: int
    silence: int


class Ack(NamedTuple):
    header: Header
    broadcast_id: bytes
    request_sequence: int
    code: int
    reason: int
    records: Sequence[AckRecord]


class DetailsRecord(NamedTuple):
    """Of a result; None: it has none of it."""

    orientation: tuple[float, float, float, float] | None = None
    context: tuple[str, Sequence[str]] | None = None
    metadata: dict[str, Value] | None = None
    schedule: tuple[int, int, int] | None = None  # opening, period, open for
    frame: tuple[bytes, Vector] | None = None
    scope: tuple[int, Vector, Vector, float, int] | None = None  # kind of bounds, a, b, resolution, max_propagation


class ResultRecord(NamedTuple):
    entity_id: bytes
    position: Vector
    age: int
    distance: float
    velocity: Vector
    precision: float
    ttl_left: int
    state: int
    custom_state: int
    entity_type: int
    position_confidence: int
    status_confidence: int
    details: DetailsRecord | None = None


class ShortRecord(NamedTuple):
    entity_id: bytes
    position: Vector  # a height that is not known is NaN


class CellRecord(NamedTuple):
    centre: Vector
    entities: int
    size: float
    height: float
    newest_age: int
    level: int
    more: bool
    below: int  # so many cells have fewer than that each, not counted in `entities`; 0: how many is not told
    below_cells: int


class Answer(NamedTuple):
    query_id: int
    code: int
    reason: int
    flags: int
    request_sequence: int
    stream_id: int
    part: int
    cursor: tuple[int, int]
    detail: int
    results: Sequence[ResultRecord]
    shorts: Sequence[ShortRecord]
    cells: Sequence[CellRecord]


class Response(NamedTuple):
    header: Header
    answers: Sequence[Answer]


class Explanation(NamedTuple):
    header: Header
    request_sequence: int
    query_id: int
    code: int
    reason: int
    verdict: int
    first_cause: int
    causes: int
    entity_id: bytes
    position: Vector
    distance: float
    edge: float
    beyond: float
    asker: float
    held: float
    radius: float
    age: int
    ttl_left: int
    held_ms: int
    due: int
    filter_step: int
    state: int
    entity_type: int


class Pong(NamedTuple):
    header: Header
    opaque: bytes


class State(NamedTuple):
    header: Header
    first: int
    total: int
    code: int
    reason: int
    request_sequence: int
    values: Sequence[int]


class Subscribed(NamedTuple):
    header: Header
    subscription_id: int
    epoch: int
    op: int
    code: int
    reason: int
    fault_index: int
    fence_count: int
    message: int
    next_sequence: int
    lease: int
    request_sequence: int
    published: float  # m; 0: as finely as asked for


class Event(NamedTuple):
    fence_id: int
    kind: int
    cause: int
    flags: int
    time: int
    entity_id: bytes
    result: ResultRecord | None  # None: nothing but the id is told
    piece: bytes = b""


class Notice(NamedTuple):
    header: Header
    subscription_id: int
    epoch: int
    first_sequence: int
    events: Sequence[Event]


class Erased(NamedTuple):
    header: Header
    entity_id: bytes
    request_sequence: int
    where: int
    status: int
    code: int
    reason: int


Reply = Union[Ack, Response, Explanation, Pong, State, Subscribed, Notice, Erased]

# By type: (bytes before the records, bytes of a record, count from, count to, flags that must be set)
_SHAPES: Final = {
    wire.UPDATE: (112, 16, 0, wire.UPDATES_MAX, wire.FLAG_RESPONSE),
    wire.WITHDRAW: (112, 16, 0, wire.WITHDRAWALS_MAX, wire.FLAG_RESPONSE),
    wire.DETAILED: (112, 16, 0, 15, wire.FLAG_RESPONSE),
    wire.RESPONSE: (80, 48, 1, 28, 0),
    wire.EXPLAIN: (80, 128, 1, 1, wire.FLAG_RESPONSE),
    wire.PONG: (80, 16, 1, 1, 0),
    wire.SUBSCRIBE: (128, 0, 0, 1, wire.FLAG_RESPONSE),
    wire.NOTICE: (112, 80, 1, 16, 0),
    wire.STATE_RESPONSE: (96, 16, 0, 84, 0),
    wire.ERASED: (80, 32, 1, 1, 0),
}


def _header(data: bytes, bytes_max: int) -> Header:
    if len(data) < 80:
        raise Malformed("short_header")
    version, kind, flags, stream, sequence, timestamp, session, count, r0, r1, space, r2, tag = wire.HEADER.unpack_from(data)
    if version != wire.VERSION:
        raise Malformed("version")
    shape = _SHAPES.get(kind)
    if shape is None:
        raise Malformed("type_unknown")
    fixed, record, least, most, needed = shape
    if flags != needed:
        raise Malformed("header_flags")
    if r0 or r1 or r2:
        raise Malformed("header_reserved")
    if not least <= count <= most:
        raise Malformed("count")
    legal = fixed + count * record
    if len(data) < legal or len(data) > (bytes_max if kind == wire.RESPONSE else legal):
        raise Malformed("length")
    if session:
        raise Malformed("session")
    if tag != NIL:
        raise Malformed("tag")
    return Header(kind, flags, stream, sequence, timestamp, session, count, space)


def decode(data: bytes, bytes_max: int = wire.BYTES_MAX) -> Reply:
    """bytes_max: of an answer, where a transport hands on what came packed."""
    header = _header(data, bytes_max)
    kind = header.type
    if kind == wire.RESPONSE:
        return Response(header, _answers(data, header.items))
    if kind == wire.NOTICE:
        return _notice(data, header)
    if kind in (wire.UPDATE, wire.WITHDRAW, wire.DETAILED):
        return _ack(data, header)
    if kind == wire.SUBSCRIBE:
        return _subscribed(data, header)
    if kind == wire.EXPLAIN:
        return _explanation(data, header)
    if kind == wire.STATE_RESPONSE:
        return _state(data, header)
    if kind == wire.ERASED:
        return _erased(data, header)
    return Pong(header, data[80:])


def _ack(data: bytes, header: Header) -> Ack:
    broadcast, request, code, reason, r0, r1 = _ACK.unpack_from(data, 80)
    if r0 or r1 or (code == 0) != (reason == 0):
        raise Malformed("body_reserved")
    if (code == 0) != (header.items != 0):
        raise Malformed("count")
    records = []
    for at in range(112, len(data), 16):
        status, rcode, rreason, reserved, incarnation, sequence, silence = _ACK_RECORD.unpack_from(data, at)
        if reserved:
            raise Malformed("record_reserved")
        told = status in (REFUSED, DROPPED)
        if status > DROPPED or told != (rreason != 0) or told != (rcode != 0):
            raise Malformed("state")
        records.append(AckRecord(status, rcode, rreason, incarnation, sequence, silence))
    return Ack(header, broadcast, request, code, reason, records)


# ---- results -------------------------------------------------------------------------------------


def _finite(*numbers: float) -> bool:
    return all(map(math.isfinite, numbers))


def _type_known(kind: int) -> bool:
    return kind <= 3 or kind >= 128


def _result(data: bytes, at: int) -> ResultRecord:
    (entity, x, y, z, age, distance, vx, vy, vz, precision, ttl, state, custom, kind, sure, status_sure,
     reserved) = _RESULT.unpack_from(data, at)
    if entity == NIL:
        raise Malformed("id_nil")
    if reserved or state & 0xE0:
        raise Malformed("record_reserved")
    if not _type_known(kind):
        raise Malformed("entity_type")
    if state & 7 > 4 or (custom and state & 7 != 4):
        raise Malformed("state")
    if not _finite(x, y, z, vx, vy, vz, distance) or distance < 0 or (state & HEIGHT_UNKNOWN and z != 0):
        raise Malformed("coordinates")
    about: float = struct.unpack("<e", precision)[0]
    if not math.isfinite(about) or precision[1] & 0x80:
        raise Malformed("precision")
    return ResultRecord(entity, (x, y, z), age, distance, (vx, vy, vz), about, ttl, state, custom, kind, sure, status_sure)


def _short(data: bytes, at: int) -> ShortRecord:
    entity, x, y, z = _SHORT.unpack_from(data, at)
    if entity == NIL:
        raise Malformed("id_nil")
    if not _finite(x, y) or not (math.isfinite(z) or data[at + 32:at + 40] == _HEIGHT_NAN):
        raise Malformed("coordinates")
    return ShortRecord(entity, (x, y, z))


def _cell(data: bytes, at: int) -> CellRecord:
    x, y, z, count, size, height, newest, level, flags, below, cells = _CELL.unpack_from(data, at)
    few = bool(flags & 2)
    if flags > 3 or not count and not few or few != bool(cells) or below and (not few or below < 3) or not -3 <= level <= 9:
        raise Malformed("record_reserved")
    if not _finite(x, y, z, size, height) or size <= 0 or height <= 0:
        raise Malformed("coordinates")
    return CellRecord((x, y, z), count, size, height, newest, level, bool(flags & 1), below, cells)


def _details(data: bytes, at: int) -> tuple[DetailsRecord, int]:
    """A result's details, and where they end."""
    try:
        return _read_details(data, at)
    except (Unsound, struct.error):
        raise Malformed("details_form") from None


def _read_details(data: bytes, at: int) -> tuple[DetailsRecord, int]:
    length, mask, reserved = _BLOCK.unpack_from(data, at)
    end = at + length
    if length < 8 or length % 8 or end > len(data) or length > _DETAILS_MAX or reserved or mask & ~0x5F:
        raise Unsound
    told = DetailsRecord()
    at += 8
    for kind in (1, 2, 3, 4, 5, 7):
        if not mask >> (kind - 1) & 1:
            continue
        if end - at < 8:
            raise Unsound
        named, size, reserved = _BLOCK.unpack_from(data, at)
        over = at + 8 + size + -size % 8
        if named != kind or reserved or over > end or not size or any(data[at + 8 + size:over]):
            raise Unsound
        told = _detail(told, kind, data[at + 8:at + 8 + size])
        at = over
    if at != end:
        raise Unsound
    return told, end


def _detail(told: DetailsRecord, kind: int, content: bytes) -> DetailsRecord:
    if kind == 1:
        x, y, z, w = struct.unpack("<4f", content)
        if not 1 - 1e-4 <= x * x + y * y + z * z + w * w <= 1 + 1e-4:
            raise Unsound
        return told._replace(orientation=(x, y, z, w))
    if kind == 2:
        return told._replace(context=read_context(content))
    if kind == 3:
        return told._replace(metadata=read_metadata(content))
    if kind == 4:
        opening, period, open_for = struct.unpack("<QII", content)
        if not 0 < open_for <= period:
            raise Unsound
        return told._replace(schedule=(opening, period, open_for))
    if kind == 7:
        return told._replace(scope=_scope(content))
    parent, x, y, z = struct.unpack("<16s3d", content)
    if parent == NIL or not _finite(x, y, z):
        raise Unsound
    return told._replace(frame=(parent, (x, y, z)))


def _scope(content: bytes) -> tuple[int, Vector, Vector, float, int]:
    ax, ay, az, bx, by, bz, resolution, propagation, bounds, reserved = struct.unpack("<6dfHBB", content)
    if reserved or not (resolution == 0 or 0.0099 < resolution <= 100000) or content[51] & 0x80 or not _finite(ax, ay, az, bx, by, bz) or \
            bounds not in (0, 2, 3) or bounds == 0 and any(content[:48]) or bounds == 2 and (bx < 0 or any(content[32:48])):
        raise Unsound
    return bounds, (ax, ay, az), (bx, by, bz), resolution, propagation


def _check_answer(code: int, reason: int, flags: int, query_id: int, part: int, count: int, cursor: tuple[int, int], detail: int) -> None:
    success, kinds = code == 0, flags & (SHORT | CELLS | DETAILED)
    if detail and reason != _QUERY_PROGRAM or flags & ~0x3F or success != (reason == 0) or kinds & (kinds - 1) or \
            flags & PACKET and (query_id or success) or \
            not success and (count or part or not flags & LAST or flags & TRUNCATED or kinds) or \
            flags & TRUNCATED and not flags & LAST or not flags & TRUNCATED and cursor != (0, 0):
        raise Malformed("body_reserved")


def _answers(data: bytes, count: int) -> list[Answer]:
    answers, at = [], 80
    for _ in range(count):
        if len(data) - at < 48:
            raise Malformed("length")
        query_id, code, reason, flags, request, stream, part, found, c0, c1, detail = _ANSWER.unpack_from(data, at)
        at += 48
        size = 48 if flags & CELLS else 40 if flags & SHORT else 64
        if found * size > len(data) - at:
            raise Malformed("length")
        _check_answer(code, reason, flags, query_id, part, found, (c0, c1), detail)
        results: list[ResultRecord] = []
        shorts: list[ShortRecord] = []
        cells: list[CellRecord] = []
        for _ in range(found):
            if len(data) - at < size:
                raise Malformed("length")
            if flags & CELLS:
                cells.append(_cell(data, at))
            elif flags & SHORT:
                shorts.append(_short(data, at))
            else:
                results.append(_result(data, at))
            at += size
            if flags & DETAILED:
                told, at = _details(data, at)
                results[-1] = results[-1]._replace(details=told)
        answers.append(Answer(query_id, code, reason, flags, request, stream, part, (c0, c1), detail, results, shorts, cells))
    if at != len(data):
        raise Malformed("length")
    return answers


# ---- what else is answered -----------------------------------------------------------------------


def _deciding_sound(verdict: int, first: int, causes: int) -> bool:
    """The first cause is the lowest of those that decide; there is one just when the entity is not in, or about to leave."""
    deciding = causes & _DECIDING
    if verdict and not deciding:
        return first == 0
    if verdict == 2 or verdict == 1 and not causes & _GOING:
        return False
    return deciding != 0 and first == (deciding & -deciding).bit_length() - 1


def _explanation(data: bytes, header: Header) -> Explanation:
    (request, _, query_id, code, reason, verdict, first, causes, entity, x, y, z, distance, edge, beyond, asker, held, radius, age, ttl,
     held_ms, due, step, state, kind) = _EXPLANATION.unpack_from(data, 80)
    success = code == 0
    if success != (reason == 0) or verdict > 2 or not success and (verdict != 2 or causes) or causes & ~_CAUSES or \
            not _deciding_sound(verdict, first, causes):
        raise Malformed("body_reserved")
    if state & 0xE0 or state & 7 > 4:
        raise Malformed("state")
    if not _type_known(kind):
        raise Malformed("entity_type")
    if not _finite(x, y, z, distance, edge, beyond, asker, held, radius) or radius < 0 or state & HEIGHT_UNKNOWN and z != 0 or \
            any(d < 0 and d != -1 for d in (distance, edge, beyond, asker, held)):
        raise Malformed("coordinates")
    return Explanation(header, request, query_id, code, reason, verdict, first, causes, entity, (x, y, z), distance, edge, beyond, asker,
                       held, radius, age, ttl, held_ms, due, step, state, kind)


def _erased(data: bytes, header: Header) -> Erased:
    entity, request, where, status, code, reason, reserved = _ERASED.unpack_from(data, 80)
    if reserved or where & ~0x7F:
        raise Malformed("record_reserved")
    told = status in (REFUSED, DROPPED)
    if status not in (APPLIED, ACCEPTED, REFUSED, DROPPED) or told != (reason != 0) or told != (code != 0) or \
            (status == APPLIED) != (where != 0):
        raise Malformed("state")
    return Erased(header, entity, request, where, status, code, reason)


def _state(data: bytes, header: Header) -> State:
    selector, first, total, code, reason, request = _STATE.unpack_from(data, 80)
    if selector != 1 or (code == 0) != (reason == 0):
        raise Malformed("body_reserved")
    if code and header.items:
        raise Malformed("count")
    values = []
    for n, at in enumerate(range(96, len(data), 16)):
        index, r0, r1, value = _COUNTER.unpack_from(data, at)
        if r0 or r1 or index != first + n or index >= total:
            raise Malformed("record_reserved")
        values.append(value)
    return State(header, first, total, code, reason, request, values)


def _subscribed(data: bytes, header: Header) -> Subscribed:
    if header.items:
        raise Malformed("count")
    (subscription, epoch, op, code, reason, flags, fault, r1, fences, number, following, lease, published,
     request) = _SUBSCRIBED.unpack_from(data, 80)
    coarser = flags == 1 and code == 0 and 0 < published < math.inf
    if r1 or flags and not coarser or not flags and data[116:120] != bytes(4) or (code == 0) != (reason == 0) or code == 0 and fault != NO_FAULT:
        raise Malformed("body_reserved")
    return Subscribed(header, subscription, epoch, op, code, reason, fault, fences, number, following, lease, request, published)


def pieces(payload_bytes: int) -> int:
    """Events that a payload takes."""
    return max(1, -(-payload_bytes // PIECE))


def _piece(event: tuple[int, int, int, int, int], data: bytes, at: int) -> Event:
    fence, kind, number, size, time = event
    if size > wire.PAYLOAD_MAX or number >= pieces(size):
        raise Malformed("record_reserved")
    entity, piece = data[at:at + 16], data[at + 16:at + 64]
    if entity == NIL:
        raise Malformed("id_nil")
    there = min(PIECE, size - number * PIECE)
    if any(piece[there:]):
        raise Malformed("record_reserved")
    return Event(fence, kind, number, size, time, entity, None, piece[:there])


def _event(data: bytes, at: int) -> Event:
    fence, kind, cause, flags, time = _EVENT.unpack_from(data, at)
    at += 16
    if kind == PAYLOAD:
        return _piece((fence, kind, cause, flags, time), data, at)
    most = {LEAVE: 3, ENDED: 4}.get(kind, 0)
    if not ENTER <= kind <= ENDED or cause > most or most and not cause or flags & ~3:
        raise Malformed("record_reserved")
    if kind > LEAVE:
        if fence or flags or any(data[at:at + 64]):
            raise Malformed("record_reserved")
        return Event(fence, kind, cause, flags, time, NIL, None)
    entity = data[at:at + 16]
    if kind == LEAVE and entity != NIL and not any(data[at + 16:at + 64]):
        return Event(fence, kind, cause, flags, time, entity, None)
    return Event(fence, kind, cause, flags, time, entity, _result(data, at))


def _notice(data: bytes, header: Header) -> Notice:
    subscription, epoch, first, r0, r1 = _NOTICE.unpack_from(data, 80)
    if r0 or r1 or not first or first + header.items >= 1 << 64:
        raise Malformed("body_reserved")
    return Notice(header, subscription, epoch, first, [_event(data, at) for at in range(112, len(data), 80)])

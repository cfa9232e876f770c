#!/usr/bin/env python3
"""Writes the vectors beside it (*.json) and the examples of docs/protocol.md, from the tables of that page and nothing else:
no code of the engine is read or run, so that the vectors and the codec check each other.

    tests/vectors/generate.py            writes
    tests/vectors/generate.py --check    exits with 1 when what is there differs

A vector: name; about, what it shows; side, who is to decode it (engine or client); space (geodetic or cartesian) for
checks of records; reason, of the message; bytes, in hex. Where the message is sound: header, preamble, records (or queries,
answers with results, counters) by field, and record_reasons, one each. Numbers above 2^53 are strings.
"""
import json
import math
import os
import re
import struct
import sys
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "..", "..", "docs", "protocol.md")

# name, struct code, count: the tables of the page, in their order. '_' is reserved.
HEADER = [("version", "B", 1), ("type", "B", 1), ("flags", "H", 1), ("stream_id", "I", 1), ("sequence", "Q", 1),
          ("timestamp", "Q", 1), ("session_id", "Q", 1), ("count", "H", 1), ("_", "H", 1), ("_", "I", 1),
          ("space_id", "id", 1), ("_", "Q", 1), ("tag", "id", 1)]
UPDATE_PREAMBLE = [("broadcast_id", "id", 1), ("incarnation", "I", 1), ("_", "I", 1)]
UPDATE = [("entity_id", "id", 1), ("position", "d", 3), ("sequence", "I", 1), ("time_offset", "i", 1), ("ttl", "I", 1),
          ("duration", "I", 1), ("radius", "f", 1), ("precision", "f", 1), ("velocity", "e", 3), ("frequency", "H", 1),
          ("update_frequency", "H", 1), ("position_confidence", "B", 1), ("status_confidence", "B", 1),
          ("entity_type", "B", 1), ("custom_state", "B", 1), ("attributes", "H", 1)]
WITHDRAW = [("entity_id", "id", 1), ("sequence", "I", 1), ("time_offset", "i", 1)]
ACK_PREAMBLE = [("broadcast_id", "id", 1), ("request_sequence", "Q", 1), ("code", "B", 1), ("reason", "B", 1),
                ("_", "H", 1), ("_", "I", 1)]
ACK = [("status", "B", 1), ("code", "B", 1), ("reason", "B", 1), ("_", "B", 1), ("known_incarnation", "I", 1),
       ("known_sequence", "I", 1), ("silence", "I", 1)]
PING = [("opaque", "id", 1)]
QUERY = [("query_id", "I", 1), ("kind", "B", 1), ("priority", "B", 1), ("flags", "H", 1), ("max_results", "H", 1),
         ("timeout", "H", 1), ("type_mask", "H", 1), ("state_mask", "H", 1), ("a", "d", 3), ("b", "d", 3),
         ("origin", "d", 3), ("height_min", "f", 1), ("height_max", "f", 1), ("cursor", "Q", 2),
         ("extension_bytes", "H", 1), ("_", "H", 1), ("_", "I", 1), ("_", "Q", 1)]
RESOLUTION = [("spatial", "f", 1), ("temporal", "I", 1), ("attribute", "f", 1), ("_", "I", 1)]
DETAILS = [("bytes", "H", 1), ("blocks", "H", 1), ("_", "I", 1)]
BLOCK = [("type", "H", 1), ("bytes", "H", 1), ("_", "I", 1)]
POLYGON = [("form", "B", 1), ("ring_count", "B", 1), ("vertex_count", "H", 1), ("_", "I", 1), ("height_min", "d", 1),
           ("height_max", "d", 1)]
ORIENTED_BOX = [("half", "d", 3), ("orientation", "d", 4)]
FRUSTUM = [("orientation", "d", 4), ("angles", "d", 2), ("near_far", "d", 2)]
ANSWER = [("query_id", "I", 1), ("code", "B", 1), ("reason", "B", 1), ("flags", "H", 1), ("request_sequence", "Q", 1),
          ("stream_id", "I", 1), ("part", "H", 1), ("result_count", "H", 1), ("cursor", "Q", 2), ("detail", "Q", 1)]
SHORT = [("entity_id", "id", 1), ("position", "d", 3)]
CELL = [("centre", "d", 3), ("count", "I", 1), ("size", "f", 1), ("height", "f", 1), ("newest_age", "i", 1), ("level", "b", 1),
        ("flags", "B", 1), ("below", "H", 1), ("below_cells", "I", 1)]
RESULT = [("entity_id", "id", 1), ("position", "d", 3), ("age", "i", 1), ("distance", "f", 1), ("velocity", "e", 3),
          ("precision", "e", 1), ("ttl_left", "H", 1), ("state", "B", 1), ("custom_state", "B", 1),
          ("entity_type", "B", 1), ("position_confidence", "B", 1), ("status_confidence", "B", 1), ("_", "B", 1)]
STATE_REQUEST = [("selector", "H", 1), ("first", "H", 1), ("_", "I", 1), ("_", "Q", 1)]
STATE_PREAMBLE = [("selector", "H", 1), ("first", "H", 1), ("total", "H", 1), ("code", "B", 1), ("reason", "B", 1),
                  ("request_sequence", "Q", 1)]
EXPLAIN_PREAMBLE = [("entity_id", "id", 1), ("selector", "I", 1), ("_", "I", 1), ("subject", "Q", 1)]
EXPLANATION = [("request_sequence", "Q", 1), ("selector", "I", 1), ("query_id", "I", 1), ("code", "B", 1), ("reason", "B", 1),
               ("verdict", "B", 1), ("first_cause", "B", 1), ("causes", "I", 1), ("entity_id", "id", 1), ("position", "d", 3),
               ("distance", "d", 1), ("edge", "d", 1), ("beyond", "d", 1), ("asker", "d", 1), ("held", "d", 1),
               ("radius", "f", 1), ("age", "i", 1), ("ttl_left", "I", 1), ("held_ms", "I", 1), ("due", "I", 1),
               ("filter_step", "H", 1), ("state", "B", 1), ("entity_type", "B", 1)]
ERASE = [("entity_id", "id", 1), ("incarnation", "I", 1), ("_", "I", 1), ("_", "Q", 1)]
ERASED = [("entity_id", "id", 1), ("request_sequence", "Q", 1), ("where", "I", 1), ("status", "B", 1), ("code", "B", 1),
          ("reason", "B", 1), ("_", "B", 1)]
SUBSCRIBE = [("subscription_id", "I", 1), ("epoch", "I", 1), ("op", "B", 1), ("priority", "B", 1), ("flags", "H", 1),
             ("update_frequency", "H", 1), ("window", "H", 1), ("resolution", "f", 1), ("expiration", "I", 1),
             ("sequence", "Q", 1), ("message", "I", 1), ("_", "I", 1), ("_", "Q", 1)]
FENCE = [("fence_id", "I", 1), ("fence_flags", "H", 1), ("_", "H", 1), ("margin", "f", 1), ("enter_ms", "I", 1),
         ("leave_ms", "I", 1), ("_", "I", 1), ("follow_id", "id", 1)] + QUERY
FENCE_NAME = [("fence_id", "I", 1), ("_", "I", 1)]
SUBSCRIBED = [("subscription_id", "I", 1), ("epoch", "I", 1), ("op", "B", 1), ("code", "B", 1), ("reason", "B", 1),
              ("flags", "B", 1), ("fault_index", "H", 1), ("_", "H", 1), ("fence_count", "I", 1), ("message", "I", 1),
              ("next_sequence", "Q", 1), ("lease", "I", 1), ("published", "f", 1), ("request_sequence", "Q", 1)]
NOTICE = [("subscription_id", "I", 1), ("epoch", "I", 1), ("first_sequence", "Q", 1), ("_", "Q", 2)]
EVENT = [("fence_id", "I", 1), ("kind", "B", 1), ("cause", "B", 1), ("flags", "H", 1), ("time", "Q", 1)] + RESULT
COUNTER = [("index", "H", 1), ("_", "H", 1), ("_", "I", 1), ("value", "Q", 1)]

TYPES = {"PING": 0x03, "PONG": 0x04, "SPATIAL_UPDATE": 0x10, "SPATIAL_QUERY": 0x11, "SPATIAL_RESPONSE": 0x12,
         "REGION_SUBSCRIBE": 0x14, "WITHDRAW": 0x15, "NOTICE": 0x16, "DETAILED_UPDATE": 0x18, "EXPLAIN": 0x17, "EXPLANATION": 0x17, "ERASE": 0x19, "ERASED": 0x1A, "STATE_REQUEST": 0x21, "STATE_RESPONSE": 0x22}
ACK_FLAG, RESPONSE_FLAG = 1, 2
PACKED_FLAG = 4
ZSTD_FLAG = 8
PREAMBLES = {"SPATIAL_UPDATE": UPDATE_PREAMBLE, "WITHDRAW": UPDATE_PREAMBLE, "DETAILED_UPDATE": UPDATE_PREAMBLE, "STATE_RESPONSE": STATE_PREAMBLE,
             "EXPLAIN": EXPLAIN_PREAMBLE, "REGION_SUBSCRIBE": SUBSCRIBE, "NOTICE": NOTICE}
ACK_PREAMBLES = {"REGION_SUBSCRIBE": SUBSCRIBED}
RECORDS = {"SPATIAL_UPDATE": UPDATE, "WITHDRAW": WITHDRAW, "DETAILED_UPDATE": UPDATE, "PING": PING, "PONG": PING, "SPATIAL_QUERY": QUERY,
           "EXPLAIN": QUERY, "EXPLANATION": EXPLANATION, "ERASE": ERASE, "ERASED": ERASED, "STATE_REQUEST": STATE_REQUEST, "STATE_RESPONSE": COUNTER,
           "REGION_SUBSCRIBE": FENCE, "NOTICE": EVENT}


def pack(layout, fields):
    """One table's bytes. Fields that are not named are zero."""
    out = b""
    unknown = set(fields) - {name for name, _, _ in layout} - {"results", "extension", "blocks"}
    assert not unknown, unknown
    for name, code, count in layout:
        value = 0 if name == "_" else fields.get(name, 0)
        if code == "id":
            out += bytes.fromhex(value) if value else bytes(16)
        else:
            values = value if isinstance(value, (list, tuple)) else [value] * count
            out += struct.pack("<%d%s" % (count, code), *values)
    return out


assert [len(pack(x, {})) for x in (HEADER, UPDATE_PREAMBLE, UPDATE, WITHDRAW, ACK_PREAMBLE, ACK, PING, QUERY, ANSWER,
                                   RESULT, STATE_REQUEST, STATE_PREAMBLE, COUNTER, BLOCK, POLYGON, ORIENTED_BOX, FRUSTUM, RESOLUTION, SHORT, CELL, DETAILS,
                                   SUBSCRIBE, FENCE, FENCE_NAME, SUBSCRIBED, NOTICE, EVENT)] == \
    [80, 24, 80, 24, 32, 16, 16, 128, 48, 64, 16, 16, 16, 8, 24, 56, 64, 16, 40, 48, 8, 48, 168, 8, 48, 32, 80]


def zeros_to_eight(data):
    return data + bytes(-len(data) % 8)


def block(kind, content):
    return zeros_to_eight(pack(BLOCK, dict(type=kind, bytes=len(content))) + content)


def details(update, blocks):
    """A record with its update, or a result's details without: blocks of (type, content as hex)."""
    body = update + b"".join(block(kind, bytes.fromhex(content)) for kind, content in blocks)
    return pack(DETAILS, dict(bytes=8 + len(body), blocks=sum(1 << kind - 1 for kind, _ in blocks))) + body


def entry(kind, name, value=b""):
    return zeros_to_eight(struct.pack("<BBH", kind, len(name), len(value)) + name.encode()) + zeros_to_eight(value)


def metadata(*entries):
    body = b"".join(entries)
    return struct.pack("<HBBI", 8 + len(body), len(entries), 0, 0) + body


def context(activity, *tags):
    body = activity.encode() + b"".join(bytes([len(t)]) + t.encode() for t in tags)
    return zeros_to_eight(struct.pack("<HBBI", 8 + len(zeros_to_eight(body)), len(tags), len(activity), 0) + body)


def polygon(rings, heights=(float("-inf"), float("inf")), scaled=None):
    """A VOLUME's content. scaled: (origin, scale), and then the vertices are pairs of integers."""
    flat = [v for ring in rings for v in ring]
    data = pack(POLYGON, dict(form=1 if scaled else 0, ring_count=len(rings), vertex_count=len(flat),
                              height_min=heights[0], height_max=heights[1]))
    data += zeros_to_eight(b"".join(struct.pack("<H", len(ring)) for ring in rings))
    if scaled:
        return data + struct.pack("<4d", *scaled[0], *scaled[1]) + b"".join(struct.pack("<2h", *v) for v in flat)
    return data + b"".join(struct.pack("<2d", *v) for v in flat)


def program(steps, constants=b""):
    """A filter of docs/filters.md: steps of (operation, argument, operand), constants already padded."""
    body = zeros_to_eight(b"".join(struct.pack("<BBH", *s) for s in steps)) + constants
    return struct.pack("<HBBI", 8 + len(body), len(steps), 0, 0) + body


def message(kind, header, preamble, records):
    """The bytes of a message, and its fields in full."""
    ack = header.get("flags", 0) & RESPONSE_FLAG and kind != "EXPLANATION"
    fields = dict(version=1, type=TYPES[kind], flags=0, stream_id=0, sequence=0, timestamp=0, session_id=0,
                  count=len(records), space_id="00" * 16, tag="00" * 16)
    fields.update(header)
    data = pack(HEADER, fields)
    if kind in PREAMBLES:
        data += pack(ACK_PREAMBLES.get(kind, ACK_PREAMBLE) if ack else PREAMBLES[kind], preamble)
    for record in records:
        if kind == "SPATIAL_RESPONSE":
            record.setdefault("result_count", len(record["results"]))
            flags = record.get("flags", 0)
            layout = CELL if flags & 0x10 else SHORT if flags & 8 else RESULT
            data += pack(ANSWER, record) + b"".join(
                pack(layout, r) + (details(b"", r.get("blocks", [])) if flags & 0x20 else b"") for r in record["results"])
        elif kind == "DETAILED_UPDATE" and not ack:
            data += details(pack(UPDATE, {k: v for k, v in record.items() if k != "blocks"}), record["blocks"])
        else:
            if "extension" in record:
                record.setdefault("extension_bytes", len(record["extension"]))
            layout = FENCE_NAME if kind == "REGION_SUBSCRIBE" and preamble["op"] == 3 else RECORDS[kind]
            data += pack(ACK if ack else layout, record)
    data += b"".join(record.get("extension", b"") for record in records)
    return data, fields


def readable(value):
    """Integers that a JSON reader might round become strings, bytes hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {k: readable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [readable(v) for v in value]
    if isinstance(value, int) and value >= 1 << 53:
        return str(value)
    return value


with open(PAGE) as page:
    # name: (number, code), from the table of bad input
    REASONS = {m[1]: dict(reason=int(m[0]), code=int(m[2], 16))
               for m in re.findall(r"^\| (\d+) \| `(\w+)` \| [^|]* \| (0x\w+) \|", page.read(), re.M)}

FILES = {}


def vector(file, name, about, side, data, reason="none", **more):
    v = dict(name=name, about=about, side=side, reason=reason)
    v.update({k: readable(x) for k, x in more.items() if x is not None})
    v["bytes"] = data.hex()
    FILES.setdefault(file, []).append(v)
    return data


def sound(file, name, about, kind, header, preamble, records, space="geodetic", record_reasons=None):
    client = kind in ("PONG", "SPATIAL_RESPONSE", "STATE_RESPONSE", "NOTICE", "ERASED") or header.get("flags", 0) & RESPONSE_FLAG
    data, fields = message(kind, header, preamble, records)
    word = {"SPATIAL_RESPONSE": "answers"}.get(kind, "records")
    return vector(file, name, about, "client" if client else "engine", data, kind=kind, space=space, header=fields,
                  preamble=preamble if kind in PREAMBLES else None, **{word: records},
                  record_reasons=record_reasons or ["none"] * len(records))


def half(x):
    return struct.unpack("<H", struct.pack("<e", x))[0]


ID = [uuid.UUID(int=0x5f1c0de0_0000_4000_8000_000000000000 + i).hex for i in range(64)]
SPACE = uuid.UUID("8b1d3c52-7c39-4a0e-9d55-2f1f8f1d6a01").hex
BROADCAST = uuid.UUID("0f8fad5b-d9cb-469f-a165-70867728950e").hex
NOW = 1732300000000
HEAD = dict(stream_id=7, sequence=42, timestamp=NOW)
REPLY = dict(stream_id=7, sequence=9001, timestamp=NOW + 3)

harbour = dict(entity_id=ID[1], position=[60.1675, 24.9625, 0.0], sequence=1, time_offset=-250, ttl=10000, radius=2000.0,
               precision=10.0, velocity=[3.5, -1.25, 0.0], update_frequency=60, position_confidence=255, status_confidence=0,
               entity_type=1, attributes=0x0400)
update_examples = [
    ("example-update", "MOBILE at Helsinki's harbour, height unknown, acknowledged", dict(HEAD, flags=ACK_FLAG), [harbour], "geodetic"),
    ("update-least", "every optional field zero, no clock, no acknowledgement", dict(sequence=1),
     [dict(entity_id=ID[2], sequence=1, entity_type=1)], "geodetic"),
    ("update-edges", "the edges of every range", dict(stream_id=0xFFFFFFFF, sequence=(1 << 64) - 1, timestamp=(1 << 64) - 1, space_id=SPACE),
     [dict(entity_id="ff" * 16, position=[90.0, 180.0, -11034.0], sequence=0xFFFFFFFF, time_offset=2**31 - 1, ttl=86400000,
           duration=86400000, radius=struct.unpack("<f", b"\xff\xff\x7f\x7f")[0], precision=1000.0, velocity=[65504.0, -65504.0, 2.0**-24],
           frequency=65535, update_frequency=65535, position_confidence=255, status_confidence=1, entity_type=255,
           custom_state=255, attributes=0x0864),
      dict(entity_id="00" * 15 + "01", position=[-90.0, -180.0, 0.0], sequence=0, time_offset=-2**31, ttl=1, entity_type=2,
           attributes=0x0463)], "geodetic"),
    ("update-cartesian", "metres, STATIC with relocation, TEMPORARY with a duration only", dict(HEAD, space_id=SPACE),
     [dict(entity_id=ID[3], position=[-1e6, 123456.789, 0.5], sequence=5, entity_type=0, attributes=0x0801),
      dict(entity_id=ID[4], position=[1.0, 2.0, 3.0], sequence=6, duration=5000, entity_type=2, attributes=0x0003)], "cartesian"),
    ("update-full", "16 records: 1384 bytes", dict(HEAD, flags=ACK_FLAG),
     [dict(harbour, entity_id=ID[10 + i], sequence=i + 1, velocity=[i / 4, -i / 2, i]) for i in range(16)], "geodetic"),
]
for name, about, header, records, space in update_examples:
    data = sound("update", name, about, "SPATIAL_UPDATE", header, dict(broadcast_id=BROADCAST, incarnation=1732290000), records, space)
assert len(data) == 1384

sound("withdraw", "withdraw-one", "one entity, acknowledged", "WITHDRAW", dict(HEAD, flags=ACK_FLAG),
      dict(broadcast_id=BROADCAST, incarnation=1732290000), [dict(entity_id=ID[1], sequence=2, time_offset=-1)])
sound("withdraw", "withdraw-full", "48 entities: 1256 bytes", "WITHDRAW", HEAD, dict(incarnation=1),
      [dict(entity_id=ID[i], sequence=i, time_offset=i - 24) for i in range(48)])

turn = struct.pack("<4f", 0.0, 0.0, 0.6, 0.8).hex()
crew = metadata(entry(2, "crew", struct.pack("<q", 12)), entry(3, "draught", struct.pack("<d", 7.5))).hex()
change = metadata(entry(2, "crew", struct.pack("<q", 12)), entry(255, "pilot")).hex()
sailing = context("sailing", "ferry", "white").hex()
hours = struct.pack("<QII", 1732258800000, 86400000, 36000000).hex()
frame = ID[9] + struct.pack("<3d", 1.0, -2.0, 0.5).hex()


def scope(bounds=2, a=(60.16, 24.96, 0.0), b=(5000.0, 0.0, 0.0), resolution=0.0, propagation=0):
    return struct.pack("<6dfHBB", *a, *b, resolution, propagation, bounds, 0).hex()


DETAILED = dict(broadcast_id=BROADCAST, incarnation=1732290000)
detailed_examples = [
    ("example-detailed", "the ferry turns, has another crew and no pilot any more", dict(HEAD, flags=ACK_FLAG),
     [dict(harbour, sequence=2, blocks=[(1, turn), (2, sailing), (3, change)])], "geodetic"),
    ("detailed-none", "no block", HEAD, [dict(harbour, blocks=[])], "geodetic"),
    ("detailed-taken-away", "blocks without bytes", HEAD, [dict(harbour, blocks=[(1, ""), (2, ""), (4, ""), (5, "")])], "geodetic"),
    ("detailed-all", "every block; RECURRING, in a parent's frame; and another record behind it", HEAD,
     [dict(harbour, entity_type=3, attributes=0, position=[100.0, 200.0, 3.0],
           blocks=[(1, turn), (2, sailing), (3, change), (4, hours), (5, ID[9]), (6, bytes(range(13)).hex()), (7, scope())]),
      dict(harbour, entity_id=ID[2], blocks=[(6, "")])], "cartesian"),
    ("detailed-largest", "1448 bytes, a payload of 512 among them", HEAD,
     [dict(harbour, blocks=[(3, metadata(entry(5, "v", bytes(712))).hex()), (6, "ff" * 512)])], "geodetic"),
    ("detailed-scope", "told within 5 km of a place; rounded to 100 m, in a box", HEAD,
     [dict(harbour, blocks=[(7, scope())]),
      dict(harbour, entity_id=ID[2], blocks=[(7, scope(3, (60.0, 24.5, 0.0), (60.5, 25.5, 0.0), 100.0, 7))])], "geodetic"),
    ("detailed-15", "15 records: 1424 bytes", HEAD, [dict(harbour, entity_id=ID[i], blocks=[]) for i in range(15)], "geodetic"),
]
for name, about, header, records, space in detailed_examples:
    data = sound("detailed", name, about, "DETAILED_UPDATE", header, DETAILED, records, space)

near = dict(query_id=1, kind=2, a=[60.1675, 24.9625, 0.0], b=[500.0, 0.0, 0.0])
query_examples = [
    ("example-query", "who is within 500 m", HEAD, [near], "geodetic"),
    ("query-all-options", "origin, heights, 3d, cursor, filters", HEAD,
     [dict(query_id=0xFFFFFFFF, kind=2, flags=0x000F, max_results=65535, timeout=65535, type_mask=0x1F, state_mask=0x1F,
           a=[-90.0, 180.0, 1e4], b=[0.0, 0.0, 0.0], origin=[90.0, -180.0, -10.0], height_min=-0.5, height_max=-0.5,
           cursor=[(1 << 64) - 1, 1])], "geodetic"),
    ("query-antimeridian", "a box whose west is greater than its east", HEAD,
     [dict(query_id=2, kind=3, a=[-18.0, 177.0, 0.0], b=[-16.0, -179.0, 0.0])], "geodetic"),
    ("query-kinds", "point, box and sphere in metres; ten queries: 1360 bytes", HEAD,
     [dict(query_id=3, kind=1, a=[1e6, -1e6, 3.0]), dict(query_id=4, kind=3, a=[0.0, 0.0, 0.0], b=[0.0, 5.0, 1e9]),
      dict(query_id=5, kind=2, a=[1e300, 0.0, 0.0], b=[1.7e308, 0.0, 0.0])] + [dict(query_id=6 + i, kind=1) for i in range(7)], "cartesian"),
]
square = [(60.15, 24.93), (60.15, 24.97), (60.17, 24.97), (60.17, 24.93)]
hole = [(60.155, 24.94), (60.155, 24.95), (60.16, 24.95)]
level = [0.0, 0.0, 0.0, 1.0]
active = program([(16, 0, 2), (17, 0, 1), (1, 0, 0)])  # type mobile and state active
area = dict(query_id=1, kind=4, flags=0x10, a=[60.16, 24.95, 0.0], extension=block(1, polygon([square, hole], (-10.0, 500.0))))
circle = [(round(30000 * math.cos(i * math.pi / 128)), round(30000 * math.sin(i * math.pi / 128))) for i in range(256)]
round_area = dict(query_id=1, kind=4, flags=0x10, a=[60.0, 25.0, 0.0],
                  extension=block(1, polygon([circle], scaled=((60.0, 25.0), (1e-5, 2e-5)))) + block(2, active))
turned = dict(query_id=2, kind=5, flags=0x10, a=[60.16, 24.95, 10.0],
              extension=block(1, pack(ORIENTED_BOX, dict(half=[100.0, 50.0, 20.0], orientation=[0.0, 0.0, 0.6, 0.8]))))
view = dict(query_id=3, kind=6, flags=0x10, a=[60.16, 24.95, 10.0],
            extension=block(1, pack(FRUSTUM, dict(orientation=level, angles=[90.0, 60.0], near_far=[0.0, 300.0]))) + block(2, active))
nearest = dict(query_id=4, kind=7, max_results=10, a=[60.1675, 24.9625, 0.0], b=[5000.0, 0.0, 0.0])
query_examples += [
    ("query-polygon", "an outer ring and a hole, with heights", HEAD, [area], "geodetic"),
    ("query-polygon-256", "256 vertices of 16 bits each, and a filter", HEAD, [round_area], "geodetic"),
    ("query-time", "who will be within 500 m in 30 s; an oriented box in a minute", HEAD,
     [dict(near, flags=0x10, extension=block(3, struct.pack("<iI", 30000, 0))),
      dict(turned, query_id=2, extension=turned["extension"] + block(3, struct.pack("<iI", 60000, 0)))], "geodetic"),
    ("query-extended", "oriented box, frustum with a filter, the ten nearest, a sphere with a filter; extensions behind them all", HEAD,
     [turned, view, nearest, dict(near, flags=0x10, extension=block(2, active))], "geodetic"),
    ("query-nearest-most", "1000 wherever they are", HEAD, [dict(query_id=1, kind=7, max_results=1000, a=[1e6, 0.0, -5.0])], "cartesian"),
]
def resolution(spatial=0.0, temporal=0, attribute=0.5):
    return block(4, pack(RESOLUTION, dict(spatial=spatial, temporal=temporal, attribute=attribute)))


heat = dict(near, flags=0x10, b=[5000.0, 0.0, 0.0], extension=resolution(512.0, 60000))
query_examples += [
    ("query-cells", "a heat map: 5 km about the harbour in cells of up to 512 m, of the last minute", HEAD, [heat], "geodetic"),
    ("query-resolutions", "short results of class CRITICAL, cells with a filter of class LOW, everything, an ordinary one of class HIGH", HEAD,
     [dict(near, query_id=1, priority=3, flags=0x10, extension=resolution(attribute=0.0)),
      dict(near, query_id=2, priority=1, flags=0x10, extension=block(2, active) + resolution(64.0, 0, 0.25)),
      dict(nearest, query_id=3, flags=0x10, extension=resolution(0.0, 4294967295, 1.0)),
      dict(near, query_id=4, priority=2)], "geodetic"),
]
for name, about, header, records, space in query_examples:
    sound("query", name, about, "SPATIAL_QUERY", header, {}, [dict(r) for r in records], space)

found = dict(entity_id=ID[1], position=[60.1675, 24.9625, 0.0], age=1203, distance=0.0, velocity=[3.5, -1.25, 0.0], precision=10.0,
             ttl_left=91, state=0x08, entity_type=1, position_confidence=255)
sound("query", "query-packed", "answers may come packed", "SPATIAL_QUERY", dict(HEAD, flags=PACKED_FLAG), {}, [dict(area)])
sound("query", "query-packed-zstd", "by Zstandard too", "SPATIAL_QUERY", dict(HEAD, flags=PACKED_FLAG | ZSTD_FLAG), {}, [dict(area)])
response_examples = [
    ("example-response", "one answer with one result", [dict(query_id=1, flags=1, request_sequence=42, stream_id=7, results=[found])]),
    ("response-empty", "nothing found", [dict(query_id=9, flags=1, request_sequence=42, stream_id=7, results=[])]),
    ("response-parts", "a part that is not the last, and a truncated answer to another request",
     [dict(query_id=1, flags=0, request_sequence=42, stream_id=7, part=3, results=[found, dict(found, entity_id=ID[5], distance=12.5)]),
      dict(query_id=2, flags=3, request_sequence=43, stream_id=8, part=0, cursor=[5, (1 << 63) + 1],
           results=[dict(entity_id=ID[6], position=[-1e6, 1e6, 7.0], age=-2000, distance=1e6, velocity=[-65504.0, 65504.0, 0.0],
                         precision=1000.0, ttl_left=65535, state=4, custom_state=200, entity_type=200, status_confidence=1)])]),
    ("response-refused-query", "query_kind", [dict(query_id=4, **REASONS["query_kind"], flags=1, request_sequence=42, stream_id=7, results=[])]),
    ("response-refused-message", "space_unknown, of the whole request",
     [dict(query_id=0, **REASONS["space_unknown"], flags=5, request_sequence=42, stream_id=7, results=[])]),
    ("response-short", "SHORT: id and position only",
     [dict(query_id=1, flags=9, request_sequence=42, stream_id=7,
           results=[dict(entity_id=ID[1], position=[60.1675, 24.9625, 0.0]), dict(entity_id=ID[2], position=[-90.0, 180.0, -3.5])])]),
    ("response-cells", "CELLS: counts of a page that a bound of work cut within its only cell, and of another query",
     [dict(query_id=1, flags=0x13, request_sequence=42, stream_id=7, cursor=[7, (1 << 63) + 1],
           results=[dict(centre=[60.1675, 24.9625, 0.0], count=4294967295, size=512.0, height=1024.0, newest_age=-100, level=1, flags=1)]),
      dict(query_id=2, flags=0x11, request_sequence=43, stream_id=7,
           results=[dict(centre=[-4.0, 12.0, 512.0], count=1, size=8.0, height=1024.0, newest_age=60000, level=-3),
                    dict(centre=[0.5, 0.5, 0.0], count=12, size=2.0**25, height=2.0**24, newest_age=0, level=9)])]),
    ("response-cells-below", "cells of which too few may be counted: one with fewer than 5; 120 and three with fewer than 5 each; one that is not told",
     [dict(query_id=1, flags=0x11, request_sequence=42, stream_id=7,
           results=[dict(centre=[256.0, 256.0, 512.0], count=0, size=512.0, height=1024.0, level=1, flags=2, below=5, below_cells=1),
                    dict(centre=[2048.0, 2048.0, 512.0], count=120, size=4096.0, height=1024.0, level=2, flags=3, below=5, below_cells=3),
                    dict(centre=[768.0, 256.0, 512.0], count=0, size=512.0, height=1024.0, level=1, flags=2, below_cells=1)])]),
    ("response-refused-program", "query_program: its third step's argument, byte 17",
     [dict(query_id=4, **REASONS["query_program"], flags=1, request_sequence=42, stream_id=7, detail=7 | 2 << 8 | 17 << 16, results=[])]),
    ("response-detailed", "results with details and one that has none, and an answer without them",
     [dict(query_id=1, flags=0x21, request_sequence=42, stream_id=7,
           results=[dict(found, state=0x18, blocks=[(1, turn), (2, sailing), (3, crew), (4, hours), (5, frame), (7, scope())]), dict(found, entity_id=ID[5])]),
      dict(query_id=2, flags=1, request_sequence=42, stream_id=7, results=[found])]),
    ("response-28", "28 answers without results: 1424 bytes",
     [dict(query_id=i, flags=1, request_sequence=42, stream_id=7, results=[]) for i in range(28)]),
]
for name, about, answers in response_examples:
    sound("response", name, about, "SPATIAL_RESPONSE", REPLY, {}, answers)



# ---- packed answers ------------------------------------------------------------------------------
def lz4_block(plain):
    """An LZ4 block by the format's page, of the plainest kind: the nearest earlier four bytes that are equal."""
    out, last, at, seen = bytearray(), 0, 0, {}

    def length(n):
        while n >= 255:
            out.append(255)
            n -= 255
        out.append(n)

    def sequence(literals, distance=0, match=0):
        m = match - 4 if match else 0
        out.append(min(len(literals), 15) << 4 | min(m, 15))
        if len(literals) >= 15:
            length(len(literals) - 15)
        out.extend(literals)
        if match:
            out.extend(struct.pack("<H", distance))
            if m >= 15:
                length(m - 15)

    # The last match begins twelve bytes before the end at the latest, and the last five bytes are literals.
    while at < len(plain) - 12:
        before = seen.get(plain[at:at + 4])
        seen[plain[at:at + 4]] = at
        if before is None or at - before > 65535:
            at += 1
            continue
        end = at + 4
        while end < len(plain) - 5 and plain[before + end - at] == plain[end]:
            end += 1
        sequence(plain[last:at], at - before, end - at)
        at = last = end
    sequence(plain[last:])
    return bytes(out)


def zstd_frame(plain):
    """A Zstandard frame by RFC 8878, of the plainest kind: bytes that repeat, and bytes as they are. It is one segment and says its size."""
    n = len(plain)
    head = b"\x20" + struct.pack("<B", n) if n < 256 else b"\x60" + struct.pack("<H", n - 256)
    blocks, at, begin = [], 0, 0
    while at < n:
        end = at
        while end < n and plain[end] == plain[at]:
            end += 1
        if end - at > 6:  # what a block of its own and the next one's head take
            if at > begin:
                blocks.append((0, at - begin, plain[begin:at]))
            blocks.append((1, end - at, plain[at:at + 1]))
            begin = end
        at = end
    if n > begin:
        blocks.append((0, n - begin, plain[begin:]))
    return struct.pack("<I", 0xFD2FB528) + head + b"".join(
        struct.pack("<I", (i == len(blocks) - 1) | kind << 1 | size << 3)[:3] + content for i, (kind, size, content) in enumerate(blocks))


def packed(data, result_bytes, method=1):
    """The message of one answer, packed."""
    results = data[128:]
    n = len(results) // result_bytes
    lanes = b"".join(results[b::result_bytes] for b in range(result_bytes))
    assert len(lanes) == n * result_bytes
    block = (lz4_block if method == 1 else zstd_frame)(lanes)
    assert 136 + len(block) <= 1452
    return data[:2] + struct.pack("<H", PACKED_FLAG) + data[4:128] + struct.pack("<BBHI", method, 0, len(block), 0) + block


def packed_vector(name, about, answer, result_bytes, method=1):
    data, _ = message("SPATIAL_RESPONSE", REPLY, {}, [answer])
    vector("packed", name, about, "packed", packed(data, result_bytes, method), plain=data.hex())


def packed_answer(results, flags=0):
    return dict(query_id=1, request_sequence=42, stream_id=7, part=2, flags=flags, results=results)


packed_results = [dict(found, entity_id=ID[i + 1], position=[60.0 + i / 64, 24.9625, 0.0], age=1000 + i, distance=float(i)) for i in range(60)]
packed_vector("packed-whole", "60 whole results, of which 20 fit a plain message", packed_answer(packed_results), 64)
packed_vector("packed-short", "100 SHORT ones",
              packed_answer([dict(entity_id=ID[i % 63 + 1], position=[float(i), 2.0, 3.0]) for i in range(100)], 8), 40)
packed_vector("packed-cells", "CELLS",
              packed_answer([dict(centre=[64.0 * i, 32.0, 0.0], count=1 + i, size=64.0, height=1024.0) for i in range(50)], 16), 48)
packed_vector("packed-one", "one result", packed_answer(packed_results[:1]), 64)
packed_sound = bytes.fromhex(FILES["packed"][0]["bytes"])


def packed_broken(name, about, reason, *changes, cut=None, add=b""):
    data = bytearray(packed_sound)
    for offset, code, value in changes:
        struct.pack_into("<" + code, data, offset, value)
    vector("packed", ("packed-zstd-whole: " if name.startswith("zstd-") else "packed-whole: ") + name.removeprefix("zstd-"), about, "packed",
           bytes(data[:cut]) + add, reason)


packed_broken("method-0", "", "body_reserved", (128, "B", 0))
packed_broken("method-2", "a block of LZ4 is no frame of Zstandard", "length", (128, "B", 2))
packed_broken("method-3", "not defined", "body_reserved", (128, "B", 3))
packed_broken("reserved-129", "", "body_reserved", (129, "B", 1))
packed_broken("reserved-132", "", "body_reserved", (132, "I", 1 << 31))
packed_broken("detailed", "results of so many lengths are not packed", "body_reserved", (86, "H", 32))
packed_broken("no-results", "", "length", (102, "H", 0))
packed_broken("more-results", "than are in the block", "length", (102, "H", 61))
packed_broken("fewer-results", "", "length", (102, "H", 59))
packed_broken("too-many-results", "257 of 64 bytes are above 16,384", "length", (102, "H", 257))
packed_broken("byte-less", "", "length", cut=-1)
packed_broken("byte-more", "", "length", add=b"\0")
packed_broken("cut-block", "packed_bytes says so", "length", (130, "H", len(packed_sound) - 136 - 9), cut=-9)
packed_broken("cut-head", "", "length", cut=135)
packed_broken("two-answers", "", "length", (32, "H", 2))
packed_broken("session", "", "session", (24, "Q", 1))
packed_broken("refused-with-results", "the unpacked answer is checked as a plain one", "body_reserved", (84, "B", 2))

packed_vector("packed-zstd-whole", "30 whole results by Zstandard", packed_answer(packed_results[:30]), 64, 2)
packed_sound = bytes.fromhex(FILES["packed"][-1]["bytes"])
packed_vector("packed-zstd-short", "40 SHORT ones by Zstandard",
              packed_answer([dict(entity_id=ID[i % 63 + 1], position=[float(i), 2.0, 3.0]) for i in range(40)], 8), 40, 2)
packed_vector("packed-zstd-cells", "CELLS by Zstandard",
              packed_answer([dict(centre=[64.0 * i, 32.0, 0.0], count=1 + i, size=64.0, height=1024.0) for i in range(50)], 16), 48, 2)
packed_vector("packed-zstd-one", "one result by Zstandard", packed_answer(packed_results[:1]), 64, 2)
FRAME = packed_sound[136:]


def zstd_broken(name, about, frame, *changes):
    packed_broken("zstd-" + name, about, "length", (130, "H", len(frame)), *changes, cut=136, add=frame)


zstd_broken("method-1", "a frame of Zstandard is no block of LZ4", FRAME, (128, "B", 1))
zstd_broken("cut", "packed_bytes says so", FRAME[:-9])
zstd_broken("byte-more", "behind the frame", FRAME + b"\0")
zstd_broken("magic", "another format", b"\x27" + FRAME[1:])
zstd_broken("skippable", "a frame to be skipped before it", struct.pack("<II", 0x184D2A50, 4) + bytes(4) + FRAME)
zstd_broken("twice", "a second frame", FRAME + FRAME)
zstd_broken("more", "the frame says more than the results take", FRAME[:5] + struct.pack("<H", 30 * 64 - 256 + 1) + FRAME[7:])
zstd_broken("huge", "the frame says 64 KiB more", FRAME[:4] + b"\xa0" + struct.pack("<I", 30 * 64 + 65536) + FRAME[7:])
zstd_broken("unsaid", "the frame does not say how much is in it", FRAME[:4] + b"\0\x38" + FRAME[7:])
zstd_broken("dictionary", "the frame asks for a dictionary", FRAME[:4] + b"\x61\x07" + FRAME[5:])
zstd_broken("block-kind", "a block of a kind that is not defined", FRAME[:7] + bytes([FRAME[7] | 6]) + FRAME[8:])
packed_broken("zstd-more-results", "than are in the frame", "length", (102, "H", 31))
packed_broken("zstd-fewer-results", "", "length", (102, "H", 29))

ack_head = dict(REPLY, flags=RESPONSE_FLAG)
ack_pre = dict(broadcast_id=BROADCAST, request_sequence=42)
sound("ack", "example-ack", "one record, applied", "SPATIAL_UPDATE", ack_head, ack_pre, [dict(status=0)])
sound("ack", "ack-statuses", "each status", "SPATIAL_UPDATE", ack_head, ack_pre,
      [dict(status=0), dict(status=1), dict(status=2, silence=6000),
       dict(status=3, **REASONS["stale"], known_incarnation=1732290000, known_sequence=17), dict(status=4, **REASONS["ring_full"])])
sound("ack", "ack-detailed", "of a detailed update", "DETAILED_UPDATE", ack_head, ack_pre,
      [dict(status=0), dict(status=3, **REASONS["details_large"]), dict(status=3, **REASONS["details_full"])])
sound("ack", "ack-refused-message", "the whole update refused: incarnation_future", "SPATIAL_UPDATE", ack_head,
      dict(ack_pre, **REASONS["incarnation_future"]), [])
sound("ack", "ack-withdraw-full", "48 records: 880 bytes", "WITHDRAW", ack_head, ack_pre, [dict(status=i % 3) for i in range(48)])
sound("ack", "ack-newer-reason", "a reason that this version does not know", "WITHDRAW", ack_head, ack_pre,
      [dict(status=3, code=0xFF, reason=250)])

sound("ping", "ping", "", "PING", HEAD, {}, [dict(opaque="000102030405060708090a0b0c0d0e0f")])
sound("ping", "pong", "", "PONG", REPLY, {}, [dict(opaque="000102030405060708090a0b0c0d0e0f")])
sound("state", "state-request", "counters from the third on", "STATE_REQUEST", HEAD, {}, [dict(selector=1, first=2)])
state_pre = dict(selector=1, first=2, total=86, request_sequence=42)
sound("state", "state-response", "two counters", "STATE_RESPONSE", REPLY, state_pre,
      [dict(index=2, value=5), dict(index=3, value=(1 << 64) - 1)])
sound("state", "state-response-full", "84 counters: 1440 bytes", "STATE_RESPONSE", REPLY, dict(state_pre, first=0),
      [dict(index=i, value=i * 1000003) for i in range(84)])
sound("state", "state-response-refused", "not_trusted", "STATE_RESPONSE", REPLY, dict(state_pre, **REASONS["not_trusted"]), [])

sound("explain", "explain-sphere", "why is it not within 500 m", "EXPLAIN", HEAD, dict(entity_id=ID[1], selector=1), [near])
sound("explain", "explain-filter", "a polygon and a filter", "EXPLAIN", HEAD, dict(entity_id=ID[2], selector=1), [dict(round_area)])
sound("explain", "explain-fence", "why is it not in fence 5 of subscription 7", "EXPLAIN", HEAD,
      dict(entity_id=ID[1], selector=2, subject=5 << 32 | 7), [dict()], record_reasons=["query_kind"])
told = dict(request_sequence=42, selector=1, query_id=1, verdict=1, entity_id=ID[1], position=[60.1675, 24.9625, 0.0], distance=12.5,
            edge=500.0, beyond=0.0, asker=12.5, held=-1.0, radius=2000.0, age=1203, ttl_left=9047, state=0x08, entity_type=1)
nothing = dict(request_sequence=42, selector=1, query_id=1, entity_id=ID[1], distance=-1.0, edge=-1.0, beyond=-1.0, asker=-1.0, held=-1.0)
explain_examples = [
    ("explained-in", "it is in the answer", told),
    ("explained-outside", "away, 100 m outside of the sphere and further than it reaches; a newer state is held back",
     dict(told, verdict=0, first_cause=5, causes=1 << 5 | 1 << 8 | 1 << 9 | 1 << 16, distance=600.0, edge=500.0, beyond=100.0, asker=2100.0,
          held=4.5, held_ms=700, due=300, state=0x0B)),
    ("explained-filter", "the third step of the program decided", dict(told, verdict=0, first_cause=7, causes=1 << 7, filter_step=3)),
    ("explained-unknown", "nothing that the asker may know of", dict(nothing, first_cause=1, causes=1 << 1)),
    ("explained-veiled", "its own owner's: only others are shown it, and a filter does not take it either",
     dict(told, verdict=0, first_cause=7, causes=1 << 7 | 1 << 26, filter_step=1)),
    ("explained-undecided", "its state could not be read whole", dict(nothing, verdict=2)),
    ("explained-dwell", "inside of the fence since less than enter_ms", dict(told, selector=2, verdict=0, first_cause=13, causes=1 << 13, due=1500)),
    ("explained-leaving", "in the fence for 0.7 s more, 100 m outside; the subscription is kept elsewhere",
     dict(told, selector=2, verdict=1, first_cause=8, causes=1 << 8 | 1 << 20 | 1 << 23, distance=600.0, beyond=100.0, due=700)),
    ("explained-margin", "in the margin of a fence, of another worker's entity", dict(told, selector=2, verdict=2, causes=1 << 18 | 1 << 19, beyond=3.0)),
    ("explained-no-fence", "explain_fence", dict(nothing, selector=2, query_id=0, verdict=2, **REASONS["explain_fence"])),
    ("explained-refused", "query_bounds", dict(nothing, verdict=2, **REASONS["query_bounds"])),
]
for name, about, e in explain_examples:
    sound("explain", name, about, "EXPLANATION", dict(REPLY, flags=RESPONSE_FLAG), {}, [e])
sound("erase", "erase", "whatever it is", "ERASE", HEAD, {}, [dict(entity_id=ID[1])])
sound("erase", "erase-incarnation", "and all lives up to one", "ERASE", HEAD, {}, [dict(entity_id=ID[1], incarnation=1732290000)])
erased = dict(entity_id=ID[1], request_sequence=42)
sound("erase", "erased", "it was there, with details, inside of fences", "ERASED", REPLY, {}, [dict(erased, where=1 | 4 | 16)])
sound("erase", "erased-accepted", "its owner does it", "ERASED", REPLY, {}, [dict(erased, status=1)])
for name in ("owner", "role", "unknown_entity"):
    sound("erase", "erased-" + name, "", "ERASED", REPLY, {}, [dict(erased, status=3, **REASONS[name])])
sound("erase", "erased-ring-full", "", "ERASED", REPLY, {}, [dict(erased, status=4, **REASONS["ring_full"])])
watch = dict(subscription_id=7, epoch=1732290000)
berth = dict(fence_id=1, margin=25.0, enter_ms=2000, leave_ms=5000, kind=2, a=[60.1675, 24.9625, 0.0], b=[500.0, 0.0, 0.0])
sound("subscribe", "subscribe-open", "a sphere with a margin and dwell times, a polygon with a filter", "REGION_SUBSCRIBE", HEAD,
      dict(watch, op=1, priority=2, flags=7, update_frequency=60, window=64, resolution=5.0, expiration=600000),
      [dict(berth), dict(area, fence_id=2, extension=area["extension"] + block(2, active))], record_reasons=["none"] * 2)
sound("subscribe", "subscribe-open-nothing", "fences come later", "REGION_SUBSCRIBE", HEAD, dict(watch, op=1), [])
sound("subscribe", "subscribe-add-full", "7 fences that follow: 1304 bytes", "REGION_SUBSCRIBE", HEAD, dict(watch, op=2, message=1),
      [dict(fence_id=10 + i, fence_flags=1, follow_id=ID[i], kind=2, b=[100.0, 0.0, 0.0]) for i in range(7)])
sound("subscribe", "subscribe-remove-full", "165 numbers: 1448 bytes", "REGION_SUBSCRIBE", HEAD, dict(watch, op=3, message=2),
      [dict(fence_id=i) for i in range(165)])
sound("subscribe", "subscribe-resume", "", "REGION_SUBSCRIBE", HEAD, dict(watch, op=4, sequence=(1 << 64) - 1), [])
sound("subscribe", "subscribe-acknowledge", "", "REGION_SUBSCRIBE", HEAD, dict(watch, op=5, sequence=17), [])
sound("subscribe", "subscribe-close", "", "REGION_SUBSCRIBE", HEAD, dict(watch, op=6), [])
sound("subscribe", "subscribe-renew", "", "REGION_SUBSCRIBE", HEAD, dict(watch, op=7, expiration=86400000), [])
done = dict(watch, op=1, fault_index=0xFFFF, fence_count=2, next_sequence=1, lease=600000, request_sequence=42)
sound("subscribe", "subscribed", "taken", "REGION_SUBSCRIBE", ack_head, done, [])
sound("subscribe", "subscribed-coarser", "taken, and what is seen may be no finer than 500 m", "REGION_SUBSCRIBE", ack_head,
      dict(done, flags=1, published=500.0), [])
sound("subscribe", "subscribed-refused", "the second fence's polygon crosses itself", "REGION_SUBSCRIBE", ack_head,
      dict(watch, op=1, **REASONS["query_shape"], fault_index=1, request_sequence=42), [])
row = dict(watch, first_sequence=17)
sound("subscribe", "notice-kinds", "each kind; a LEAVE with no more than the id", "NOTICE", REPLY, row,
      [dict(found, fence_id=1, kind=1, flags=1, time=NOW), dict(kind=4, time=NOW), dict(found, fence_id=1, kind=2, flags=2, time=NOW + 1),
       dict(found, fence_id=1, kind=3, cause=1, time=NOW + 2), dict(fence_id=2, kind=3, cause=2, time=NOW + 2, entity_id=ID[5]),
       dict(kind=5, time=NOW + 3), dict(kind=6, cause=2, time=NOW + 4)])
sound("subscribe", "notice-full", "16 events: 1392 bytes", "NOTICE", REPLY, row,
      [dict(found, fence_id=i, kind=1, time=NOW) for i in range(16)])

# ---- broken messages: sound ones with one thing changed -----------------------------------------
BY_NAME = {v["name"]: v for file, vs in FILES.items() if file != "packed" for v in vs}


def broken(base, name, about, reason, *changes, cut=None, add=b""):
    v = BY_NAME[base]
    data = bytearray.fromhex(v["bytes"])
    for offset, code, value in changes:
        struct.pack_into("<" + code, data, offset, value)
    data = bytes(data[:cut]) + add
    vector("malformed", "%s: %s" % (base, name), about, v["side"], data, reason)


for base, v in sorted(BY_NAME.items()):
    data = bytes.fromhex(v["bytes"])
    response = v["kind"] == "SPATIAL_RESPONSE"
    broken(base, "cut-79", "shorter than a header", "short_header", cut=79)
    broken(base, "byte-less", "one byte less", "length", cut=len(data) - 1)
    broken(base, "byte-more", "one byte more", "length", add=b"\0")
    broken(base, "version-0", "", "version", (0, "B", 0))
    broken(base, "version-2", "", "version", (0, "B", 2))
    broken(base, "type-connect", "", "type_unknown", (1, "B", 0x00))
    broken(base, "flag-undefined", "", "header_flags", (2, "H", struct.unpack_from("<H", data, 2)[0] | (16 if data[1] == 0x11 else 8)))
    broken(base, "reserved-34", "", "header_reserved", (34, "H", 0x8000))
    broken(base, "reserved-36", "", "header_reserved", (36, "I", 1))
    broken(base, "reserved-56", "", "header_reserved", (56, "Q", 1 << 63))
    broken(base, "session", "", "session", (24, "Q", 1))
    broken(base, "tag-first", "", "tag", (64, "B", 1))
    broken(base, "tag-last", "", "tag", (79, "B", 0x80))
    broken(base, "count-65535", "", "count", (32, "H", 65535))
    if v["side"] == "engine" and v["header"]["count"] and base != "subscribe-open":
        broken(base, "count-0", "", "count", (32, "H", 0))
broken("example-update", "is-response", "an acknowledgement sent to an engine", "header_flags", (2, "H", 2))
broken("example-query", "ack-on-query", "a flag of another type", "header_flags", (2, "H", 1))
broken("example-query", "zstd-alone", "ZSTD without PACKED", "header_flags", (2, "H", ZSTD_FLAG))
broken("example-ack", "without-response", "an update sent to a client", "header_flags", (2, "H", 0))
broken("update-full", "count-17", "", "count", (32, "H", 17), add=bytes(80))
broken("withdraw-full", "count-49", "", "count", (32, "H", 49), add=bytes(24))
broken("query-kinds", "count-11", "", "count", (32, "H", 11), add=bytes(128))
broken("detailed-15", "count-16", "", "count", (32, "H", 16), add=bytes(88))
broken("detailed-none", "record-longer", "more than the message holds", "length", (104, "H", 96))
broken("detailed-none", "record-shorter", "less than a record", "length", (104, "H", 80))
broken("example-detailed", "record-odd", "no multiple of eight", "length", (104, "H", 89))
broken("detailed-all", "records-joined", "the second record is the first one's", "length", (104, "H", 88))
broken("response-detailed", "details-longer", "more than the message holds", "details_form", (192, "H", 0xFFF8))
broken("response-detailed", "details-reserved", "", "details_form", (196, "I", 1))
broken("response-detailed", "details-mask", "a block that is not there", "details_form", (194, "H", 0x7F))
broken("response-detailed", "details-unit", "no unit quaternion", "details_form", (208, "f", 2.0))
broken("response-detailed", "details-flag", "results without details", "details_form", (192, "H", 0))
broken("query-polygon", "flag-cleared", "an extension that no query has", "length", (80 + 6, "H", 0))
broken("query-polygon", "extension-longer", "more than the message holds", "length", (80 + 112, "H", 0xFFF8))
broken("query-polygon", "extension-shorter", "bytes that belong to no extension", "length", (80 + 112, "H", 8))
broken("example-query", "extension-missing", "an extension that the message does not hold", "length", (80 + 6, "H", 0x10), (80 + 112, "H", 8))
broken("query-polygon-256", "too-long", "extensions beyond the longest message", "length", (80 + 112, "H", 1112 + 16 + 24 + 200), add=bytes(200))
broken("example-update", "reserved-100", "", "body_reserved", (100, "I", 1))
broken("withdraw-one", "reserved-100", "", "body_reserved", (100, "I", 1 << 31))
broken("state-request", "selector-2", "", "body_reserved", (80, "H", 2))
broken("state-request", "reserved-84", "", "body_reserved", (84, "I", 1))
broken("state-request", "reserved-88", "", "body_reserved", (88, "Q", 1))
broken("explain-sphere", "selector-0", "", "body_reserved", (96, "I", 0))
broken("explain-sphere", "selector-2", "a fence has its query", "body_reserved", (96, "I", 2))
broken("explain-sphere", "selector-3", "", "body_reserved", (96, "I", 3))
broken("explain-fence", "selector-1", "a query has no subject", "body_reserved", (96, "I", 1))
broken("explain-fence", "reserved-100", "", "body_reserved", (100, "I", 1))
broken("explain-fence", "no-room", "without the room for a query", "length", cut=112)
broken("explain-fence", "last-byte", "a query behind it", "body_reserved", (239, "B", 1))
broken("explain-fence", "extension-flag", "an extension that is not there", "length", (112 + 6, "H", 0x10), (112 + 112, "H", 8))
broken("explain-sphere", "reserved-100", "", "body_reserved", (100, "I", 1 << 31))
broken("explain-sphere", "subject", "a query has none", "body_reserved", (104, "Q", 1))
broken("explain-sphere", "no-query", "", "length", cut=112)
broken("explain-sphere", "two-queries", "", "count", (32, "H", 2))
broken("explain-filter", "extension-longer", "more than the message holds", "length", (112 + 112, "H", 0x1000))
broken("erase", "reserved-100", "", "body_reserved", (100, "I", 1))
broken("erase", "reserved-104", "", "body_reserved", (104, "Q", 1 << 63))
broken("erase", "ack", "it is answered in any case", "header_flags", (2, "H", 1))
broken("erase", "count-2", "one at a time", "count", (32, "H", 2), add=bytes(32))
broken("erase", "short", "", "length", cut=111)
broken("erase", "long", "", "length", add=bytes(1))
broken("erased", "from-nowhere", "APPLIED, and nothing was there", "state", (80 + 24, "I", 0))
broken("erased", "undefined-place", "", "record_reserved", (80 + 24, "I", 1 << 7))
broken("erased", "coalesced", "", "state", (80 + 28, "B", 2))
broken("erased-accepted", "with-places", "", "state", (80 + 24, "I", 1))
broken("erased-owner", "code-alone", "", "state", (80 + 30, "B", 0))
broken("erased", "reserved-111", "", "record_reserved", (80 + 31, "B", 1))
broken("explained-in", "verdict-3", "", "body_reserved", (80 + 18, "B", 3))
broken("explained-in", "in-with-a-cause", "", "body_reserved", (80 + 20, "I", 1 << 4))
broken("explained-in", "undefined-cause", "", "body_reserved", (80 + 20, "I", 1 << 31))
broken("explained-in", "cause-27", "the first that is not defined", "body_reserved", (80 + 20, "I", 1 << 27))
broken("explained-leaving", "not-going", "in with a cause, and not about to leave", "body_reserved", (80 + 20, "I", 1 << 8))
broken("explained-leaving", "first-is-another", "", "body_reserved", (80 + 19, "B", 9))
broken("explained-margin", "undecided-with-a-cause", "", "body_reserved", (80 + 20, "I", 1 << 8 | 1 << 19), (80 + 19, "B", 8))
broken("explained-outside", "first-is-not-the-lowest", "", "body_reserved", (80 + 19, "B", 8))
broken("explained-outside", "out-without-a-cause", "", "body_reserved", (80 + 19, "B", 0), (80 + 20, "I", 1 << 16))
broken("explained-refused", "code-alone", "", "body_reserved", (80 + 17, "B", 0))
broken("explained-refused", "refused-and-in", "", "body_reserved", (80 + 18, "B", 1))
broken("explained-in", "distance-nan", "", "coordinates", (80 + 64, "d", float("nan")))
broken("explained-in", "distance-negative", "", "coordinates", (80 + 64, "d", -0.5))
broken("explained-in", "position-infinite", "", "coordinates", (80 + 40, "d", float("inf")))
broken("explained-in", "state-6", "", "state", (80 + 126, "B", 6))
broken("explained-in", "type-4", "", "entity_type", (80 + 127, "B", 4))
broken("example-ack", "status-5", "", "state", (112, "B", 5))
broken("example-ack", "reserved", "", "record_reserved", (115, "B", 1))
broken("example-ack", "applied-with-code", "", "state", (113, "B", 2))
broken("example-response", "more-results", "results that the message does not hold", "length", (80 + 22, "H", 2))
broken("example-response", "fewer-results", "bytes that belong to no answer", "length", (80 + 22, "H", 0))
broken("example-response", "result-nan", "", "coordinates", (128 + 16, "d", float("nan")))
broken("example-response", "result-nil", "", "id_nil", (128, "Q", 0), (136, "Q", 0))
broken("example-response", "cursor-not-truncated", "", "body_reserved", (80 + 24, "Q", 1))
broken("example-response", "detail-without-reason", "", "body_reserved", (80 + 40, "Q", 1))
broken("response-refused-query", "detail-of-another-reason", "", "body_reserved", (80 + 40, "Q", 1))
broken("response-refused-program", "short-and-refused", "", "body_reserved", (80 + 6, "H", 9))
broken("response-short", "as-whole-results", "bytes that are no results", "length", (80 + 6, "H", 1))
broken("response-short", "nil", "", "id_nil", (128, "Q", 0), (136, "Q", 0))
broken("response-short", "position-nan", "only a height may be that", "coordinates", (128 + 16, "d", float("nan")))
broken("response-short", "height-infinite", "", "coordinates", (128 + 32, "d", float("inf")))
broken("response-cells", "short-and-cells", "", "body_reserved", (80 + 6, "H", 0x1B))
broken("response-cells", "count-0", "", "record_reserved", (128 + 24, "I", 0))
broken("response-cells", "level-10", "", "record_reserved", (128 + 40, "b", 10))
broken("response-cells", "level-minus-4", "", "record_reserved", (128 + 40, "b", -4))
broken("response-cells", "flag-2", "", "record_reserved", (128 + 41, "B", 5))
broken("response-cells", "below-nothing", "", "record_reserved", (128 + 41, "B", 3))
broken("response-cells", "below-without-flag", "", "record_reserved", (128 + 42, "H", 5))
broken("response-cells", "below-cells-without-flag", "", "record_reserved", (128 + 44, "I", 1 << 31))
broken("response-cells", "below-2", "", "record_reserved", (128 + 41, "B", 3), (128 + 42, "H", 2), (128 + 44, "I", 1))
broken("response-cells", "size-0", "", "coordinates", (128 + 28, "f", 0.0))
broken("response-cells", "height-infinite", "", "coordinates", (128 + 32, "f", float("inf")))
broken("response-cells", "centre-nan", "", "coordinates", (128 + 16, "d", float("nan")))
broken("state-response", "index-out-of-order", "", "record_reserved", (96 + 16, "H", 7))

for op in (0, 8, 255):
    broken("subscribe-close", "op-%d" % op, "", "subscribe_op", (88, "B", op))
broken("subscribe-open", "count-8", "", "count", (32, "H", 8))
broken("subscribe-remove-full", "count-166", "", "count", (32, "H", 166))
broken("subscribe-close", "count-1", "", "count", (32, "H", 1))
broken("subscribe-open", "extension-longer", "", "length", (128 + 168 + 40 + 112, "H", 0xFFF8))
broken("subscribe-open", "priority-4", "", "subscribe_fields", (89, "B", 4))
broken("subscribe-open", "flag-4", "", "subscribe_fields", (90, "H", 16))
broken("subscribe-open", "resolution-nan", "", "subscribe_fields", (96, "f", float("nan")))
broken("subscribe-open", "resolution-without-flag", "", "subscribe_fields", (90, "H", 5))
broken("subscribe-open", "message-1", "", "subscribe_fields", (112, "I", 1))
broken("subscribe-add-full", "message-0", "", "subscribe_fields", (112, "I", 0))
broken("subscribe-resume", "sequence-0", "", "subscribe_fields", (104, "Q", 0))
broken("subscribe-close", "priority", "", "subscribe_fields", (89, "B", 1))
broken("subscribe-close", "reserved-116", "", "body_reserved", (116, "I", 1))
broken("subscribe-close", "reserved-120", "", "body_reserved", (120, "Q", 1))
broken("subscribed", "code-without-reason", "", "body_reserved", (89, "B", 2))
broken("subscribed", "flag-1", "", "body_reserved", (91, "B", 2))
broken("subscribed", "coarser-than-nothing", "", "body_reserved", (91, "B", 1))
broken("subscribed", "published-without-flag", "", "body_reserved", (116, "f", 5.0))
broken("subscribed-coarser", "published-negative", "", "body_reserved", (116, "f", -5.0))
broken("subscribed-coarser", "published-infinite", "", "body_reserved", (116, "f", float("inf")))
broken("subscribed-coarser", "published-nan", "", "body_reserved", (116, "f", float("nan")))
broken("subscribed-coarser", "coarser-and-refused", "", "body_reserved", (89, "B", 0x50), (90, "B", 73))
broken("subscribed", "fault-with-success", "", "body_reserved", (92, "H", 0))
broken("notice-kinds", "sequence-0", "", "body_reserved", (88, "Q", 0))
broken("notice-kinds", "flags", "", "body_reserved", (96, "H", 1))
broken("notice-kinds", "kind-8", "", "record_reserved", (112 + 4, "B", 8))
broken("notice-kinds", "payload-513", "", "record_reserved", (112 + 4, "B", 7), (112 + 6, "H", 513))
broken("notice-kinds", "payload-piece-11", "", "record_reserved", (112 + 4, "B", 7), (112 + 5, "B", 11), (112 + 6, "H", 512))
broken("notice-kinds", "payload-behind-its-end", "", "record_reserved", (112 + 4, "B", 7), (112 + 6, "H", 1))
broken("notice-kinds", "payload-of-nobody", "", "id_nil", (112 + 4, "B", 7), (112 + 6, "H", 512), (112 + 16, "Q", 0), (112 + 24, "Q", 0))
broken("notice-kinds", "cause-of-an-enter", "", "record_reserved", (112 + 5, "B", 1))
broken("notice-kinds", "result-of-an-end", "", "record_reserved", (112 + 80 + 16, "B", 1))
broken("notice-kinds", "id-nil", "", "id_nil", (112 + 16, "Q", 0), (112 + 24, "Q", 0))

# ---- sound messages with broken records -----------------------------------------------------------
NAN, INF = float("nan"), float("inf")


def record(file, kind, base, name, reason, space="geodetic", size=None, changes=()):
    """One message of one record, changed at offsets of the record."""
    preamble = dict(broadcast_id=BROADCAST, incarnation=1732290000) if kind in PREAMBLES else {}
    data, _ = message(kind, dict(HEAD), preamble, [base])
    data = bytearray(data)
    start = 104 if kind in PREAMBLES else 80
    for offset, code, value in changes:
        struct.pack_into("<" + code, data, start + offset, value)
    vector(file, name, "", "engine", bytes(data), kind=kind, space=space, record_reasons=[reason])


plain = dict(harbour, attributes=0)
metres = dict(plain, position=[500.0, -700.0, 12.0])
for name, reason, changes in [
    ("id-nil", "id_nil", [(0, "Q", 0), (8, "Q", 0)]),
    ("attribute-12", "record_reserved", [(78, "H", 0x1000)]),
    ("attribute-15", "record_reserved", [(78, "H", 0x8000)]),
    ("type-4", "entity_type", [(76, "B", 4)]),
    ("type-127", "entity_type", [(76, "B", 127)]),
    ("type-recurring", "none", [(76, "B", 3)]),
    ("state-5", "state", [(78, "H", 5)]),
    ("state-7", "state", [(78, "H", 7)]),
    ("custom-without", "state", [(77, "B", 1)]),
    ("anonymous", "none", [(78, "H", 1 << 3)]),
    ("restricted", "none", [(78, "H", 2 << 3)]),
    ("hidden", "none", [(78, "H", 3 << 3)]),
    ("level-1m", "none", [(78, "H", 1 << 7)]),
    ("level-10km", "none", [(78, "H", 5 << 7)]),
    ("level-6", "visibility", [(78, "H", 6 << 7)]),
    ("level-7", "visibility", [(78, "H", 7 << 7)]),
    ("latitude-nan", "coordinates", [(16, "d", NAN)]),
    ("longitude-infinite", "coordinates", [(24, "d", -INF)]),
    ("height-infinite", "coordinates", [(32, "d", INF)]),
    ("latitude-90.0001", "coordinates", [(16, "d", 90.0001)]),
    ("longitude-181", "coordinates", [(24, "d", -181.0)]),
    ("height-unknown-but-given", "coordinates", [(78, "H", 0x400), (32, "d", 1.0)]),
    ("velocity-infinite", "coordinates", [(64, "H", 0x7C00)]),
    ("velocity-nan", "coordinates", [(68, "H", 0x7E00)]),
    ("precision-negative", "precision", [(60, "f", -1.0)]),
    ("precision-nan", "precision", [(60, "f", NAN)]),
    ("precision-1001", "precision", [(60, "f", 1001.0)]),
    ("radius-negative", "radius", [(56, "f", -0.5)]),
    ("radius-infinite", "radius", [(56, "f", INF)]),
    ("ttl-above", "ttl", [(48, "I", 86400001)]),
    ("duration-above", "ttl", [(52, "I", 0xFFFFFFFF)]),
    ("temporary-without", "ttl_missing", [(76, "B", 2), (48, "I", 0)]),
]:
    record("records", "SPATIAL_UPDATE", plain, "update: " + name, reason, changes=changes)
record("records", "SPATIAL_UPDATE", metres, "update: metres-beyond-degrees", "none", "cartesian")
record("records", "SPATIAL_UPDATE", metres, "update: metres-on-earth", "coordinates", "geodetic")
record("records", "SPATIAL_UPDATE", dict(metres, position=[1.0, 2.0, 0.0], attributes=0x400), "update: height-unknown-in-metres", "coordinates", "cartesian")
record("records", "WITHDRAW", dict(sequence=1), "withdraw: id-nil", "id_nil")

box = dict(query_id=2, kind=3, a=[10.0, 20.0, 0.0], b=[11.0, 21.0, 0.0])
point = dict(query_id=3, kind=1, a=[10.0, 20.0, 0.0])
for name, reason, base, space, changes in [
    ("kind-0", "query_kind", near, "geodetic", [(4, "B", 0)]),
    ("kind-8", "query_kind", near, "geodetic", [(4, "B", 8)]),
    ("priority-3", "none", near, "geodetic", [(5, "B", 3)]),
    ("priority-4", "query_flags", near, "geodetic", [(5, "B", 4)]),
    ("flag-5", "none", near, "geodetic", [(6, "H", 0x20)]),
    ("flag-15", "query_flags", near, "geodetic", [(6, "H", 0x8000)]),
    ("extension-of-nothing", "query_extension", near, "geodetic", [(6, "H", 0x10)]),
    ("extension-without-flag", "query_flags", near, "geodetic", [(112, "H", 8)]),
    ("reserved-114", "query_flags", near, "geodetic", [(114, "H", 1)]),
    ("reserved-116", "query_flags", near, "geodetic", [(116, "I", 1)]),
    ("reserved-120", "query_flags", near, "geodetic", [(120, "Q", 1 << 63)]),
    ("origin-without-flag", "query_flags", near, "geodetic", [(80, "d", 1.0)]),
    ("origin-negative-zero", "query_flags", near, "geodetic", [(64, "d", -0.0)]),
    ("sphere-b1", "query_flags", near, "geodetic", [(48, "d", 1.0)]),
    ("point-b0", "query_flags", point, "geodetic", [(40, "d", 1.0)]),
    ("centre-nan", "query_coordinates", near, "cartesian", [(32, "d", NAN)]),
    ("centre-off-earth", "query_coordinates", near, "geodetic", [(16, "d", -90.5)]),
    ("radius-negative", "query_coordinates", near, "geodetic", [(40, "d", -1.0)]),
    ("radius-infinite", "query_coordinates", near, "cartesian", [(40, "d", INF)]),
    ("origin-nan", "query_coordinates", near, "geodetic", [(6, "H", 1), (64, "d", NAN)]),
    ("box-south-of-itself", "query_coordinates", box, "geodetic", [(16, "d", 12.0)]),
    ("box-west-of-itself", "none", box, "geodetic", [(24, "d", 22.0)]),
    ("box-with-height", "query_coordinates", box, "geodetic", [(56, "d", 100.0)]),
    ("box-inverted-y", "query_coordinates", box, "cartesian", [(24, "d", 22.0)]),
    ("box-inverted-z", "query_coordinates", box, "cartesian", [(32, "d", 1.0)]),
    ("box-b-nan", "query_coordinates", box, "cartesian", [(56, "d", NAN)]),
    ("type-mask-5", "query_filter", near, "geodetic", [(12, "H", 0x20)]),
    ("state-mask-15", "query_filter", near, "geodetic", [(14, "H", 0x8000)]),
    ("heights-without-flag", "query_filter", near, "geodetic", [(92, "f", 10.0)]),
    ("heights-inverted", "query_filter", near, "geodetic", [(6, "H", 2), (88, "f", 10.0), (92, "f", 9.0)]),
    ("height-nan", "query_filter", near, "geodetic", [(6, "H", 2), (88, "f", NAN), (92, "f", 9.0)]),
    ("cursor-without-flag", "query_cursor", near, "geodetic", [(104, "Q", 1)]),
    ("cursor-zero", "none", near, "geodetic", [(6, "H", 8)]),
]:
    record("records", "SPATIAL_QUERY", base, "query: " + name, reason, space, changes=changes)

soon = dict(near, flags=0x10, extension=block(3, struct.pack("<iI", 30000, 0)))
# Offsets beyond the record are those of its extension: 128 the block, 136 its content.
for name, reason, base, changes in [
    ("polygon-without", "query_extension", dict(area, flags=0, extension=b"", extension_bytes=0), []),
    ("polygon-b0", "query_flags", area, [(40, "d", 1.0)]),
    ("polygon-place-off-earth", "query_coordinates", area, [(16, "d", 91.0)]),
    ("extension-of-9-bytes", "query_extension", dict(area, extension=area["extension"] + b"\0"), []),
    ("block-type-0", "query_extension", area, [(128, "H", 0)]),
    ("block-type-3", "query_extension", area, [(128, "H", 3)]),
    ("block-type-4", "query_extension", area, [(128, "H", 4)]),
    ("time-before-now", "query_time", soon, [(136, "i", -1)]),
    ("time-too-far", "query_time", soon, [(136, "i", 600001)]),
    ("time-reserved", "query_extension", soon, [(140, "I", 1)]),
    ("time-short", "query_extension", soon, [(130, "H", 4), (140, "I", 0)]),
    ("time-of-16-bytes", "query_extension", dict(near, flags=0x10, extension=block(3, bytes(16))), []),
    ("time-twice", "query_extension", dict(soon, extension=soon["extension"] * 2), []),
    ("time-before-filter", "query_extension", dict(soon, extension=soon["extension"] + block(2, active)), []),
    ("block-reserved", "query_extension", area, [(132, "I", 1)]),
    ("block-too-long", "query_extension", area, [(130, "H", 0xFFFF)]),
    ("block-too-short", "query_extension", area, [(130, "H", 8)]),
    ("block-twice", "query_extension", dict(area, extension=area["extension"] * 2), []),
    ("blocks-swapped", "query_extension", dict(view, extension=view["extension"][72:] + view["extension"][:72]), []),
    ("block-of-half-a-head", "query_extension", dict(near, flags=0x10, extension=block(2, active) + b"\0" * 4, extension_bytes=len(active) + 8 + 4), []),
    ("volume-for-a-sphere", "query_extension", dict(near, flags=0x10, extension=area["extension"]), []),
    ("box-for-a-frustum", "query_extension", dict(turned, kind=6), []),
    ("filter-for-a-box-without-volume", "query_extension", dict(turned, extension=block(2, active)), []),
    ("polygon-form-2", "query_extension", area, [(136, "B", 2)]),
    ("polygon-form-other", "query_extension", area, [(136, "B", 1)]),
    ("polygon-no-rings", "query_extension", area, [(137, "B", 0)]),
    ("polygon-17-rings", "query_extension", area, [(137, "B", 17)]),
    ("polygon-count-less", "query_extension", area, [(138, "H", 6)]),
    ("polygon-reserved", "query_extension", area, [(140, "I", 1 << 31)]),
    ("polygon-ring-longer", "query_extension", area, [(160, "H", 5)]),
    ("polygon-ring-padding", "query_extension", area, [(164, "H", 1)]),
    ("polygon-256-padding", "none", round_area, []),
    ("filter-short", "query_program", dict(near, flags=0x10, extension=block(2, active[:-8])), []),
    ("filter-empty", "query_program", dict(near, flags=0x10, extension=block(2, b"")), []),
    ("filter-unbalanced", "query_program", dict(near, flags=0x10, extension=block(2, program([(16, 0, 2), (17, 0, 1)]))), []),
    ("filter-sound", "none", dict(near, flags=0x10, extension=block(2, active)), []),
    ("resolution-spatial-negative", "query_resolution", heat, [(136, "f", -1.0)]),
    ("resolution-spatial-negative-zero", "query_resolution", heat, [(136, "f", -0.0)]),
    ("resolution-spatial-nan", "query_resolution", heat, [(136, "f", NAN)]),
    ("resolution-spatial-infinite", "query_resolution", heat, [(136, "f", INF)]),
    ("resolution-attribute-negative", "query_resolution", heat, [(144, "f", -0.5)]),
    ("resolution-attribute-above-1", "query_resolution", heat, [(144, "f", 1.5)]),
    ("resolution-attribute-nan", "query_resolution", heat, [(144, "f", NAN)]),
    ("resolution-reserved", "query_resolution", heat, [(148, "I", 1)]),
    ("resolution-of-nothing", "none", heat, [(136, "f", 0.0), (140, "I", 0), (144, "f", 0.5)]),
    ("resolution-shorter", "query_extension", heat, [(130, "H", 8)]),
    ("resolution-longer", "query_extension", dict(near, flags=0x10, extension=block(4, bytes(24))), []),
    ("resolution-before-filter", "query_extension", dict(near, flags=0x10, extension=resolution() + block(2, active)), []),
    ("resolution-twice", "query_extension", dict(near, flags=0x10, extension=resolution() * 2), []),
    ("resolution-cells-of-nearest", "query_resolution", dict(nearest, flags=0x10, extension=resolution(64.0)), []),
    ("resolution-short-nearest", "none", dict(nearest, flags=0x10, extension=resolution(0.0, 5, 0.0)), []),
    ("block-type-5", "query_extension", heat, [(128, "H", 5)]),
    ("nearest-0", "query_nearest", nearest, [(8, "H", 0)]),
    ("nearest-1001", "query_nearest", nearest, [(8, "H", 1001)]),
    ("nearest-negative-limit", "query_coordinates", nearest, [(40, "d", -1.0)]),
    ("nearest-b1", "query_flags", nearest, [(48, "d", 1.0)]),
    ("nearest-cursor", "query_cursor", nearest, [(6, "H", 8), (96, "Q", 1)]),
]:
    record("records", "SPATIAL_QUERY", dict(base), "query: " + name, reason, "geodetic", changes=changes)


# Offsets of a record: 8 its update, 88 its blocks; 96 the first one's content.
one = dict(harbour, blocks=[(1, turn)])
for name, reason, base, changes in [
    ("reserved", "details_form", one, [(4, "I", 1)]),
    ("mask-6", "details_form", one, [(2, "H", 0x41)]),
    ("mask-7", "details_form", one, [(2, "H", 0x81)]),
    ("scope-resolution-negative", "details_content", dict(harbour, blocks=[(7, scope())]), [(144, "f", -1.0)]),
    ("scope-resolution-fine", "details_content", dict(harbour, blocks=[(7, scope())]), [(144, "f", 0.001)]),
    ("scope-resolution-coarse", "details_content", dict(harbour, blocks=[(7, scope())]), [(144, "f", 100001.0)]),
    ("scope-bounds-unknown", "details_content", dict(harbour, blocks=[(7, scope())]), [(150, "B", 4)]),
    ("scope-bounds-of-nothing", "details_content", dict(harbour, blocks=[(7, scope())]), [(150, "B", 0)]),
    ("scope-reserved", "details_content", dict(harbour, blocks=[(7, scope())]), [(151, "B", 1)]),
    ("scope-radius-negative", "details_content", dict(harbour, blocks=[(7, scope())]), [(120, "d", -1.0)]),
    ("scope-nan", "details_content", dict(harbour, blocks=[(7, scope())]), [(96, "d", NAN)]),
    ("scope-short", "details_content", dict(harbour, blocks=[(7, scope()[:96])]), []),
    ("scope-inverted-box", "none", dict(harbour, blocks=[(7, scope(3, [1.0] * 3, [0.0] * 3))]), []),
    ("mask-15", "details_form", one, [(2, "H", 0x8001)]),
    ("mask-without-block", "details_form", one, [(2, "H", 0x03)]),
    ("block-without-mask", "details_form", one, [(2, "H", 0x00)]),
    ("block-of-another-type", "details_form", one, [(88, "H", 2)]),
    ("block-reserved", "details_form", one, [(92, "I", 1)]),
    ("block-longer", "details_form", one, [(90, "H", 24)]),
    ("block-shorter", "details_form", one, [(90, "H", 8)]),
    ("block-padding", "details_form", dict(harbour, blocks=[(6, "00" * 16)]), [(90, "H", 15), (111, "B", 1)]),
    ("orientation-long", "details_content", one, [(96, "f", 1.0)]),
    ("orientation-nan", "details_content", one, [(96, "f", NAN)]),
    ("orientation-infinite", "details_content", one, [(96, "f", INF)]),
    ("orientation-of-8-bytes", "details_content", dict(harbour, blocks=[(1, "00" * 8)]), []),
    ("context-9-tags", "details_content", dict(harbour, blocks=[(2, sailing)]), [(98, "B", 9)]),
    ("context-length", "details_content", dict(harbour, blocks=[(2, sailing)]), [(96, "H", 8)]),
    ("metadata-type", "details_content", dict(harbour, blocks=[(3, change)]), [(104, "B", 77)]),
    ("metadata-nothing", "details_content", dict(harbour, blocks=[(3, "")]), []),
    ("metadata-no-change", "none", dict(harbour, blocks=[(3, metadata().hex())]), []),
    ("schedule-never-open", "details_content", dict(harbour, blocks=[(4, hours)]), [(108, "I", 0)]),
    ("schedule-open-longer", "details_content", dict(harbour, blocks=[(4, hours)]), [(108, "I", 86400001)]),
    ("schedule-no-period", "details_content", dict(harbour, blocks=[(4, hours)]), [(104, "I", 0)]),
    ("schedule-always-open", "none", dict(harbour, blocks=[(4, hours)]), [(108, "I", 86400000)]),
    ("frame-nil", "details_content", dict(harbour, blocks=[(5, "00" * 16)]), []),
    ("frame-with-position", "details_content", dict(harbour, blocks=[(5, frame)]), []),
    ("payload-513", "details_content", dict(harbour, blocks=[(6, "00" * 513)]), []),
]:
    record("records", "DETAILED_UPDATE", dict(base), "detailed: " + name, reason, changes=changes)


# ---- writing ----------------------------------------------------------------------------------------
def dump(vectors):
    lines = ",\n".join("    " + json.dumps(v, ensure_ascii=True, allow_nan=False) for v in vectors)
    return '{\n  "protocol": 1,\n  "vectors": [\n%s\n  ]\n}\n' % lines


def hexdump(data):
    rows = []
    for at in range(0, len(data), 16):
        row = data[at:at + 16]
        rows.append("%04x  %s" % (at, " ".join(row[i:i + 4].hex() for i in range(0, len(row), 4))))
    return "\n".join(rows)


def page_with_examples(text):
    by_name = {v["name"]: v for vs in FILES.values() for v in vs}

    def block(match):
        return "%s\n```\n%s\n```" % (match.group(1), hexdump(bytes.fromhex(by_name[match.group(2)]["bytes"])))
    return re.sub(r"(<!-- vector: ([a-z0-9-]+) -->)\n```\n(?:[^`]*\n)?```", block, text)


def main():
    wanted = {os.path.join(HERE, name + ".json"): dump(vs) for name, vs in FILES.items()}
    with open(PAGE) as f:
        wanted[PAGE] = page_with_examples(f.read())
    differs = []
    for path, text in wanted.items():
        old = open(path).read() if os.path.exists(path) else None
        if old != text:
            differs.append(os.path.relpath(path))
            if "--check" not in sys.argv:
                with open(path, "w") as f:
                    f.write(text)
    print("%d vectors, %d files %s" % (sum(map(len, FILES.values())), len(differs),
                                       "differ" if "--check" in sys.argv else "written"))
    for path in differs:
        print("  " + path)
    return 1 if differs and "--check" in sys.argv else 0


sys.exit(main())

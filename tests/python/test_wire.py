#!/usr/bin/env python3
"""The package's messages against tests/vectors: what a client sends is those bytes, what an engine sends is read to those fields,
and what is broken is refused for the reason that stands beside it.

    tests/python/test_wire.py
"""
import copy
import json
import math
import pathlib
import pickle
import random
import struct
import sys
import unittest
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "client" / "python"))

from spatio_presence import replies, values, wire  # noqa: E402
from spatio_presence.errors import BY_CODE, Code, Refused, refused  # noqa: E402
from spatio_presence.filters import FilterError  # noqa: E402
from spatio_presence.names import COUNTERS, REASONS  # noqa: E402

HEADER = ("type", "flags", "stream_id", "sequence", "timestamp", "session_id")


def vectors(side, *files):
    for path in sorted((ROOT / "tests" / "vectors").glob("*.json")):
        if not files or path.stem in files:
            for v in json.loads(path.read_text())["vectors"]:
                if v["side"] == side:
                    yield v


def number(value):
    return int(value) if isinstance(value, str) else value


def identifier(fields, name):
    value = fields.get(name, 0)
    return bytes.fromhex(value) if value else bytes(16)


def header_of(v):
    fields = {name: number(v["header"][name]) for name in HEADER}
    return wire.Header(**fields, items=v["header"]["count"], space_id=bytes.fromhex(v["header"]["space_id"]))


def named(kind, fields, **more):
    """A record of the package from a vector's fields."""
    taken = {}
    for name in kind._fields:
        if name in more:
            taken[name] = more[name]
        elif name in fields:
            value = fields[name]
            if name in ("position", "velocity", "a", "b", "origin", "cursor"):
                value = tuple(map(number, value))
            taken[name] = bytes.fromhex(value) if name.endswith("_id") and isinstance(value, str) else number(value)
    return kind(**taken)


def query_record(fields):
    return named(wire.QueryRecord, {"query_id": 0, **fields}, extension=bytes.fromhex(fields.get("extension", "")))


def update(fields):
    return named(wire.UpdateRecord, {"entity_id": bytes(16).hex(), "position": (0.0, 0.0, 0.0), "sequence": 0, **fields}).pack()


def body(v):
    kind, preamble, records = v["kind"], v.get("preamble") or {}, v.get("records", [])
    if kind in ("SPATIAL_UPDATE", "WITHDRAW", "DETAILED_UPDATE"):
        if kind == "WITHDRAW":
            rows = [wire.withdrawal(identifier(r, "entity_id"), r["sequence"], r.get("time_offset", 0)) for r in records]
        elif kind == "DETAILED_UPDATE":
            rows = [wire.detailed(update(r), [(t, bytes.fromhex(c)) for t, c in r["blocks"]]) for r in records]
        else:
            rows = [update(r) for r in records]
        return wire.updates_body(identifier(preamble, "broadcast_id"), preamble.get("incarnation", 0), rows)
    if kind == "SPATIAL_QUERY":
        return wire.queries_body([query_record(r) for r in records])
    if kind == "EXPLAIN" and preamble["selector"] == 2:
        return wire.explain_fence_body(identifier(preamble, "entity_id"), preamble["subject"] & 0xFFFFFFFF, preamble["subject"] >> 32)
    if kind == "EXPLAIN":
        return wire.explain_body(identifier(preamble, "entity_id"), query_record(records[0]))
    if kind == "ERASE":
        return wire.erase_body(identifier(records[0], "entity_id"), records[0].get("incarnation", 0))
    if kind == "PING":
        return bytes.fromhex(records[0]["opaque"])
    if kind == "STATE_REQUEST":
        return wire.state_body(records[0]["first"])
    if kind == "REGION_SUBSCRIBE":
        of = named(wire.Subscribe, preamble)
        if of.op == wire.REMOVE:
            return wire.subscribe_body(of, names=[r["fence_id"] for r in records])
        return wire.subscribe_body(of, [named(wire.FenceRecord, r, query=query_record(r), flags=r.get("fence_flags", 0)) for r in records])
    raise AssertionError(kind)


class Vectors(unittest.TestCase):
    def test_sent(self):
        count = 0
        for v in vectors("engine"):
            if v["reason"] != "none" or "header" not in v:
                continue
            with self.subTest(v["name"]):
                self.assertEqual(wire.message(header_of(v), body(v)).hex(), v["bytes"])
                count += 1
        self.assertGreater(count, 30)

    def test_received(self):
        count = 0
        for v in vectors("client"):
            if v["reason"] != "none":
                continue
            with self.subTest(v["name"]):
                reply = replies.decode(bytes.fromhex(v["bytes"]))
                self.assertEqual(reply.header, header_of(v))
                self.check(reply, v)
                count += 1
        self.assertGreater(count, 25)

    def same(self, got, fields, names):
        for name in names:
            want, is_ = fields.get(name, 0), getattr(got, name)
            if isinstance(is_, bytes):
                want = bytes.fromhex(want) if want else bytes(16)
            elif isinstance(is_, tuple):
                want = tuple(map(number, want)) if want else tuple(0 for _ in is_)
            else:
                want = number(want)
            self.assertEqual(is_, want, name)

    def check(self, reply, v):
        records, preamble = v.get("records", []), v.get("preamble") or {}
        if isinstance(reply, replies.Ack):
            self.same(reply, preamble, ("broadcast_id", "request_sequence", "code", "reason"))
            for got, fields in zip(reply.records, records, strict=True):
                self.same(got, fields, got._fields)
        elif isinstance(reply, replies.Response):
            for got, fields in zip(reply.answers, v["answers"], strict=True):
                self.same(got, fields, ("query_id", "code", "reason", "flags", "request_sequence", "stream_id", "part", "cursor", "detail"))
                rows = got.cells if got.flags & replies.CELLS else got.shorts if got.flags & replies.SHORT else got.results
                for row, wanted in zip(rows, fields["results"], strict=True):
                    self.row(row, wanted)
        elif isinstance(reply, replies.Explanation):
            self.same(reply, records[0], [n for n in reply._fields if n != "header"])
        elif isinstance(reply, replies.Erased):
            self.same(reply, records[0], [n for n in reply._fields if n != "header"])
        elif isinstance(reply, replies.Pong):
            self.assertEqual(reply.opaque.hex(), records[0]["opaque"])
        elif isinstance(reply, replies.State):
            self.same(reply, preamble, ("first", "total", "code", "reason", "request_sequence"))
            self.assertEqual(list(reply.values), [number(r["value"]) for r in records])
        elif isinstance(reply, replies.Subscribed):
            self.same(reply, preamble, [n for n in reply._fields if n != "header"])
        elif isinstance(reply, replies.Notice):
            self.same(reply, preamble, ("subscription_id", "epoch", "first_sequence"))
            for got, fields in zip(reply.events, records, strict=True):
                self.same(got, fields, ("fence_id", "kind", "cause", "flags", "time", "entity_id"))
                if got.result is not None:
                    self.row(got.result, fields)
        else:
            raise AssertionError(reply)

    def row(self, row, fields):
        self.same(row, fields, [n for n in row._fields if n not in ("details", "more", "entities")])
        if isinstance(row, replies.CellRecord):
            self.assertEqual(row.entities, fields["count"])
            self.assertEqual(row.more, bool(fields.get("flags", 0) & 1))
            self.assertEqual((row.below, row.below_cells) != (0, 0), bool(fields.get("flags", 0) & 2))
        blocks = dict(fields.get("blocks", []))
        if "blocks" in fields:
            told = row.details
            self.assertEqual({1: told.orientation is not None, 2: told.context is not None, 3: told.metadata is not None,
                              4: told.schedule is not None, 5: told.frame is not None, 7: told.scope is not None}, {t: t in blocks for t in (1, 2, 3, 4, 5, 7)})
        if 3 in blocks:
            self.assertEqual(row.details.metadata, {"crew": 12, "draught": 7.5})
            self.assertEqual(row.details.scope, (2, (60.16, 24.96, 0.0), (5000.0, 0.0, 0.0), 0.0, 0))
            self.assertEqual(row.details.context, ("sailing", ("ferry", "white")))
            self.assertEqual(row.details.schedule, (1732258800000, 86400000, 36000000))

    def test_unpacked(self):
        """What libpresence hands on of answers that came packed: longer than a message, where that is said; of every length a fault is told."""
        count = 0
        for v in vectors("packed", "packed"):
            plain = bytes.fromhex(v.get("plain", ""))
            if len(plain) <= wire.BYTES_MAX:
                continue
            count += 1
            reply = replies.decode(plain, wire.UNPACKED_MAX)
            answer, = reply.answers
            self.assertEqual(128 + 64 * len(answer.results) + 40 * len(answer.shorts) + 48 * len(answer.cells), len(plain))
            self.assertLessEqual(len(plain), wire.UNPACKED_MAX)
            with self.assertRaisesRegex(replies.Malformed, "length"):
                replies.decode(plain)
            for cut in (1, 40, 64, len(plain) - 100):
                with self.assertRaisesRegex(replies.Malformed, "length"):
                    replies.decode(plain[:-cut], wire.UNPACKED_MAX)
            with self.assertRaisesRegex(replies.Malformed, "header_flags"):  # a packed one is nothing that it reads
                replies.decode(bytes.fromhex(v["bytes"]), wire.UNPACKED_MAX)
        self.assertGreater(count, 2)

    def test_broken(self):
        count = 0
        for v in vectors("client"):
            if v["reason"] == "none":
                continue
            with self.subTest(v["name"]):
                with self.assertRaises(replies.Malformed) as told:
                    replies.decode(bytes.fromhex(v["bytes"]))
                self.assertEqual(str(told.exception), v["reason"])
                count += 1
        self.assertGreater(count, 250)

    def test_cut_and_changed(self):
        """Every truncation is refused; whatever else is changed is read or refused, and nothing else happens."""
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", end=" ")
        rng = random.Random(seed)
        for v in vectors("client"):
            if v["reason"] != "none":
                continue
            data = bytes.fromhex(v["bytes"])
            for cut in range(len(data)):
                with self.assertRaises(replies.Malformed):
                    replies.decode(data[:cut])
            for _ in range(60):
                changed = bytearray(data)
                for _ in range(rng.randint(1, 4)):
                    changed[rng.randrange(len(changed))] = rng.choice((0, 1, 2, 7, 0x7F, 0x80, 0xFF, rng.randrange(256)))
                try:
                    replies.decode(bytes(changed))
                except replies.Malformed:
                    pass


class Blocks(unittest.TestCase):
    """What an entity says of itself, from an engine: each fault of its bytes is found."""

    def broken(self, read, good, *changes):
        read(good)
        for change in changes:
            data = bytearray(good)
            for at, new in change:
                data[at:at + len(new)] = new
            with self.subTest(change=change), self.assertRaises(values.Unsound):
                read(bytes(data))
        for cut in range(len(good)):
            with self.assertRaises(values.Unsound):
                read(good[:cut])
        with self.assertRaises(values.Unsound):
            read(good + bytes(8))

    def test_metadata(self):
        told = {"a": True, "bb": -5, "c": 1.5, "d": "ä", "e": b"\0", "f": None}
        good = values.metadata_bytes(told)
        self.assertEqual(values.read_metadata(good), told)
        # a: 8–23 (type, name, length at 8–11, name 12, value 16), bb: 24–39, c: 40–55, d: 56–71
        self.broken(values.read_metadata, good, [(2, b"\x05")], [(2, b"\x07")], [(3, b"\1")], [(4, b"\1")], [(8, b"\x06")], [(8, b"\xff")], [(9, b"\0")],
                    [(9, b"\x21")], [(10, b"\2")], [(12, b"\x1f")], [(12, b"\x7f")], [(12, b"\xff")], [(13, b"x")], [(16, b"\2")], [(17, b"\1")],
                    [(28, b"Aa")], [(28, b"a\0")], [(12, b"c")], [(48, struct.pack("<d", math.nan))], [(64, b"\xff\xff")], [(64, b"\0")])
        for names in (("b", "a"), ("a", "a")):
            entries = b"".join(values.entry(name, None) for name in names)
            with self.assertRaises(values.Unsound):
                values.read_metadata(struct.pack("<HBBI", 8 + len(entries), 2, 0, 0) + entries)
        self.assertEqual(values.read_metadata(values.metadata_bytes({})), {})

    def test_context(self):
        good = values.context_bytes("sail", ["b", "aa"])
        self.assertEqual(values.read_context(good), ("sail", ("aa", "b")))
        # activity 8–11, 2 aa 12–14, 1 b 15–16, zeros 17–23
        self.broken(values.read_context, good, [(2, b"\1")], [(2, b"\3")], [(2, b"\x09")], [(3, b"\x21")], [(4, b"\1")], [(8, b"\n")], [(12, b"\0")],
                    [(12, b"\x20")], [(13, b"\xff\xff")], [(13, b"zz")], [(17, b"\1")], [(23, b"\1")])

    def test_details(self):
        turn = struct.pack("<4f", 0, 0, 0, 1)
        frame = b"\1" * 16 + struct.pack("<3d", 1, 2, 3)
        blocks = [(1, turn), (2, values.context_bytes("x", [])), (3, values.metadata_bytes({"a": 1})), (4, struct.pack("<QII", 1, 2, 2)), (5, frame)]

        def whole(blocks, mask=None):
            body = b"".join(wire.block(kind, content) for kind, content in blocks)
            return struct.pack("<HHI", 8 + len(body), sum(1 << kind - 1 for kind, _ in blocks) if mask is None else mask, 0) + body

        def read(data):
            try:
                details, end = replies._details(data, 0)
            except replies.Malformed:
                raise values.Unsound from None
            if end != len(data):
                raise values.Unsound
            return details

        # The head 0–7, the first block's 8–15, its content 16–31, the second block's head from 32
        self.broken(read, whole(blocks), [(0, b"\0\0")], [(0, b"\7\0")], [(2, b"\x1e")], [(2, b"\x5f")], [(4, b"\1")], [(8, b"\2")], [(10, b"\x0f")], [(12, b"\1")],
                    [(16, struct.pack("<f", 1.0))], [(16, struct.pack("<f", math.nan))], [(32, b"\3")])
        for wrong in ([(1, b"")], [(4, struct.pack("<QII", 1, 2, 3))], [(4, struct.pack("<QII", 1, 2, 0))], [(5, bytes(16) + frame[16:])], [(5, frame[:32])],
                      [(5, frame[:32] + struct.pack("<d", math.inf))], [(2, b"")], [(1, turn), (1, turn)], [(2, blocks[1][1]), (1, turn)]):
            with self.subTest(wrong), self.assertRaises(values.Unsound):
                read(whole(wrong))
        self.assertEqual(read(whole([])), replies.DetailsRecord())


class Names(unittest.TestCase):
    def test_codes(self):
        self.assertEqual(set(BY_CODE), set(Code) - {Code.SUCCESS})
        self.assertEqual(len(set(BY_CODE.values())), len(BY_CODE))
        for number, reason in enumerate(REASONS[1:], 1):
            told = refused(reason.code, number)
            self.assertIs(type(told), BY_CODE[Code(reason.code)])
            self.assertIn(reason.text, str(told))
            self.assertEqual(told.reason_name, reason.name)
        self.assertEqual(len(COUNTERS), len(set(COUNTERS)))

    def test_copied(self):
        """What is raised in one process arrives in another one as it was."""
        told = refused(Code.VERSION_CONFLICT, 38, entity_id=uuid.UUID(int=5), known_incarnation=6, known_sequence=7, detail=0x102)
        for again in (pickle.loads(pickle.dumps(told)), copy.copy(told)):
            self.assertEqual((type(again), vars(again), str(again)), (BY_CODE[Code.VERSION_CONFLICT], vars(told), str(told)))
        fault = pickle.loads(pickle.dumps(FilterError(3, "a value")))
        self.assertEqual((fault.column, fault.expected, str(fault)), (3, "a value", "column 3: a value"))

    def test_newer(self):
        told = refused(0x77, 250)
        self.assertIsInstance(told, Refused)
        self.assertEqual((told.code, told.reason, told.reason_name), (0x77, 250, ""))
        self.assertIn("250", str(told))

    def test_confidence(self):
        self.assertEqual([wire.confidence_byte(c) for c in (None, 0.0, 0.5, 1.0)], [0, 1, 128, 255])
        for byte in range(1, 256):
            self.assertEqual(wire.confidence_byte(wire.confidence(byte)), byte)
        for wrong in (-0.1, 1.1, math.nan):
            self.assertRaises(ValueError, wire.confidence_byte, wrong)

    def test_no_room(self):
        self.assertRaises(ValueError, wire.UpdateRecord(bytes(15) + b"\1", (0.0, 0.0, 0.0), 1 << 32).pack)
        self.assertRaises(ValueError, wire.message, wire.Header(wire.PING), bytes(1373))
        self.assertRaises(ValueError, wire.block, 1, bytes(70000))


assert struct.calcsize("<e") == 2
if __name__ == "__main__":
    unittest.main(argv=["test_wire"], verbosity=1)

#!/usr/bin/env python3
"""Random broadcasts, withdrawals and queries through the package, against the same in plain Python: who is found, where, how far. Filters are said as
text, by the package's parser and, through presencectl, by libpresence's, and both must find the same.

    tests/python/test_model.py PRESENCED PRESENCECTL
"""
import asyncio
import json
import math
import os
import random
import re
import subprocess
import sys
import unittest
import uuid

import python_client
from python_client import engine

from spatio_presence import *

TAGS = ["ferry", "barge", "night", "ä \"quoted\""]
CTL = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("PRESENCECTL", "")


class Thing:
    def __init__(self, rng, n, home):
        self.id = uuid.UUID(int=(0x99 << 100) + n)
        self.type = rng.choice([EntityType.MOBILE, EntityType.MOBILE, EntityType.CUSTOM, EntityType.TEMPORARY])
        self.code = rng.randrange(3) if self.type is EntityType.CUSTOM else 0
        self.move(rng, home)
        self.tags, self.meta = [], {}

    def move(self, rng, home):
        self.position = tuple(h + rng.uniform(-300, 300) for h in home)
        self.velocity = tuple(float(rng.randrange(-20, 20)) for _ in range(3))
        self.radius = rng.choice([0.0, 0.0, 50.0, 200.0])
        self.state = rng.choice(list(ActivityState))
        self.sure = rng.choice([None, 0.0, 0.5, 1.0])

    def say(self, rng):
        self.tags = rng.sample(TAGS, rng.randrange(4))
        self.meta = {name: value for name, value in {
            "draught": rng.choice([2, 7, 7.5, 9007199254740993, "deep"]), "call sign": rng.choice(["OJKL", "OJKM", ""]),
            "armed": rng.choice([True, False]), "owner": rng.choice([None, b"\0\xff"])}.items() if rng.random() < 0.7}

    def entity(self, details):
        return PresenceEntity(
            self.type, BroadcastConfig(self.radius), self.id, SpatialAddress(self.position, self.velocity),
            PresenceStatus(self.state, confidence=self.sure), context=PresenceContext("", self.tags) if details else None,
            metadata={n: self.meta.get(n, REMOVED) for n in ("draught", "call sign", "armed", "owner")} if details else {}, custom_type=self.code)


# ---- filters: the text, and what it means --------------------------------------------------------

COMPARES = {"=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
            ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}


def said(value):
    if isinstance(value, bytes):
        return f'x"{value.hex()}"'
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else repr(value)


def kind(value):
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def compared(sign, a, b):
    if kind(a) != kind(b):
        return sign == "!="
    return COMPARES[sign](a, b)


def test(rng):
    choice = rng.randrange(8)
    sign = rng.choice(list(COMPARES))
    if choice == 0:
        wanted = rng.sample(["mobile", "temporary", "custom", "static"], rng.randrange(1, 4))
        return f"type in ({', '.join(wanted)})", lambda t: t.type.name.lower() in wanted
    if choice == 1:
        wanted = rng.choice(list(ActivityState))
        return f"state != {wanted.name.lower()}", lambda t: t.state != wanted
    if choice == 2:
        code = rng.randrange(3)
        return f"custom_type {sign} {code}", lambda t: t.type is EntityType.CUSTOM and COMPARES[sign](t.code, code)
    if choice == 3:
        sure = rng.choice([0.0, 0.5, 1.0])
        return f"status_confidence {sign} {sure}", lambda t: t.sure is not None and COMPARES[sign](t.sure, sure)
    if choice == 4:
        meters = rng.choice([50, 200, 300])
        return f"radius {sign} {meters / 1000}km", lambda t: COMPARES[sign](t.radius or math.inf, meters)
    if choice == 5:
        tag = rng.choice(TAGS)
        return f"tag = {said(tag)}", lambda t: tag in t.tags
    if choice == 6:
        name = rng.choice(["draught", "call sign", "none"])
        return f"meta.{said(name)} exists", lambda t: name in t.meta
    name, value = rng.choice([("draught", 7), ("draught", 7.5), ("draught", 9007199254740992.0), ("draught", "deep"), ("call sign", "OJKL"),
                              ("armed", True), ("owner", None), ("owner", b"\0\xff")])
    if value is None or isinstance(value, bool):
        sign = rng.choice(["=", "!="])
    return f"meta.{said(name)} {sign} {said(value)}", lambda t: name in t.meta and compared(sign, t.meta[name], value)


def expression(rng, depth=0):
    choice = rng.random() * (1 + depth)
    if choice > 1.2 or depth > 3:
        return test(rng)
    a = expression(rng, depth + 1)
    if rng.random() < 0.3:
        return f"not ({a[0]})", lambda t: not a[1](t)
    b = expression(rng, depth + 1)
    if rng.random() < 0.5:
        return f"({a[0]}) and ({b[0]})", lambda t: a[1](t) and b[1](t)
    return f"({a[0]}) or ({b[0]})", lambda t: a[1](t) or b[1](t)


# ---- volumes: how far a position is outside, negative inside -------------------------------------


def volume(rng, home):
    near = tuple(h + rng.uniform(-200, 200) for h in home)
    if rng.random() < 0.5:
        radius = rng.uniform(10, 400)
        return Sphere(near, radius), near, lambda p: math.dist(p, near) - radius
    if rng.random() < 0.5:
        far = tuple(n + rng.uniform(10, 500) for n in near)
        middle = tuple((a + b) / 2 for a, b in zip(near, far))
        return Box(near, far), middle, lambda p: max(max(a - x, x - b) for a, b, x in zip(near, far, p))
    half, angle = tuple(rng.uniform(10, 250) for _ in range(3)), rng.uniform(-180, 180)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))

    def outside(p):
        x, y, z = (a - b for a, b in zip(p, near))
        return max(abs(x * cos + y * sin) - half[0], abs(y * cos - x * sin) - half[1], abs(z) - half[2])
    return OrientedBox(near, half, heading(angle)), near, outside


class Model(unittest.IsolatedAsyncioTestCase):
    async def test_random(self):
        seed = int(os.environ.get("PE_TEST_SEED", 0)) or random.randrange(1 << 32)
        print(f"seed {seed}", end=" ", flush=True)
        rng = random.Random(seed)
        home = (rng.uniform(-1e5, 1e5), rng.uniform(-1e5, 1e5), 0.0)
        rounds = 600 if os.environ.get("PE_TEST_LONG") else 60
        with engine() as e:
            async with Node(port=e.port, space=LOCAL, timeout=20.0) as node:
                things, compared_count, number = {}, 0, 0
                for _ in range(rounds):
                    for _ in range(rng.randrange(8)):
                        number += 1
                        t = things[number] = Thing(rng, number, home)
                        t.say(rng)
                        await node.broadcast_presence(t.entity(True), ttl=600)
                    moved = rng.sample(sorted(things), len(things) // 3)
                    for n in moved:
                        things[n].move(rng, home)
                    for told in await node.broadcast_all([things[n].entity(False) for n in moved], ttl=600):
                        self.assertIsInstance(told, Acknowledgement)
                    for n in rng.sample(sorted(things), len(things) // 10):
                        await node.withdraw_presence(things.pop(n).id)
                    for _ in range(6):
                        compared_count += await self.ask(rng, node, things, home)
                self.assertGreater(compared_count, 100)
                self.assertEqual(node.traffic.malformed, 0)
                if CTL:
                    await self.both(rng, node, e.port, things, home)

    async def ask(self, rng, node, things, home):
        bounds, centre, outside = volume(rng, home)
        text, means = expression(rng) if rng.random() < 0.6 else (None, lambda t: True)
        origin = tuple(h + rng.uniform(-300, 300) for h in home) if rng.random() < 0.3 else None
        heights = tuple(sorted(rng.uniform(-200, 200) for _ in range(2))) if rng.random() < 0.3 else None
        types = rng.sample([EntityType.MOBILE, EntityType.CUSTOM], rng.randrange(1, 3)) if rng.random() < 0.3 else None
        try:
            wanted = EntityFilter(types=types, where=text)
            wanted.program()
        except ValueError:  # more than a program holds
            return 0
        query = PresenceQuery(bounds, wanted, origin=origin, heights=heights)
        asker = origin or centre
        sure, edge = set(), set()
        for t in things.values():
            if types and t.type not in types or not means(t):
                continue
            far = max(outside(t.position), math.dist(t.position, asker) - t.radius if t.radius else -math.inf,
                      max(heights[0] - t.position[2], t.position[2] - heights[1]) if heights else -math.inf)
            if far < 0.001:
                (edge if far > -0.001 else sure).add(t.id)
        by_id = {t.id: t for t in things.values()}
        for attempt in range(3000):
            found = (await node.query_presence(query)).by_id()
            # A move that waits for a grace period is seen a moment later.
            if sure <= found.keys() <= sure | edge and all(f.position == by_id[i].position for i, f in found.items()):
                break
            await asyncio.sleep(0.02)
        self.assertLessEqual(sure, found.keys(), (bounds, text))
        self.assertLessEqual(found.keys(), sure | edge, (bounds, text))
        for i, f in found.items():
            t = by_id[i]
            self.assertEqual((f.position, f.velocity, f.entity_type, f.custom_type, f.state), (t.position, t.velocity, t.type, t.code, t.state))
            self.assertAlmostEqual(f.distance, math.dist(t.position, asker), delta=0.01)
        return len(found)

    async def both(self, rng, node, port, things, home):
        """The same texts to both parsers."""
        for _ in range(40):
            text, means = expression(rng)
            try:
                Filter.parse(text)
            except FilterError:
                continue
            found = await node.query_presence(PresenceQuery(Sphere(home, 1000), EntityFilter(where=text)))
            command = [CTL, "-j", "-p", str(port), "query", "sphere", ",".join(map(repr, home)), "1000", "--filter", text]
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            out, _ = await process.communicate()
            self.assertEqual(process.returncode, 0, text)
            self.assertEqual({str(e.entity_id) for e in found}, {f["id"] for f in json.loads(out)["found"]}, text)


class Parsers(unittest.TestCase):
    @unittest.skipUnless(CTL, "presencectl was not built")
    def test_mistakes(self):
        """What the one refuses the other refuses, at the same column."""
        for text in ("", "type", "type = ship", "type in mobile", "state = active or", "(stale", "stale)", 'tag = "', 'tag = "\\q"', 'tag = ""', "age < 5",
                     "age < 1.5s", "radius < -1m", "speed < 3 km", "meta. = 1", "meta.x", "meta.x < null", "meta.x in ()", "meta.x = 9223372036854775808",
                     "meta.x = 1e999", "id = 1234", "id = 00000000-0000-0000-0000-000000000000", "position_confidence = 2", "custom_type = 128",
                     'stale and\n tag > "x"', 'tag = "äöü" tag', "stale stale", "not", "x", 'meta.x = x"0"', 'tag = "\\x00"', "type = mobilex", 'meta.x = x"zz"',
                     'meta.x = x"00', "custom_state > 256", f"meta.{'x' * 33} exists", 'meta."\\n" exists', 'activity = stale', "age > 99999999999999d"):
            with self.subTest(text), self.assertRaises(FilterError) as ours:
                Filter.parse(text)
            done = subprocess.run([CTL, "query", "sphere", "0,0", "1", "--filter", text], capture_output=True, text=True, timeout=60)
            with self.subTest(text):
                self.assertEqual(done.returncode, 64)
            column = [int(n) for n in re.findall(r"at character (\d+)", done.stderr)]
            with self.subTest(text):
                self.assertEqual(column, [ours.exception.column], (done.stderr, str(ours.exception)))


if __name__ == "__main__":
    python_client.main("test_model")

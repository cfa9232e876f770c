"""The cases of the conformance suite: what every client must get of every source. Each has a stretch of the space to itself.

A case is a method test_… of a mixin; `self.d` is the driver, `self.home` the corner of its own stretch, `self.id(n)` its own entities.
"""
import math
import time
import uuid

import engine_process
from driver import TAKEN, Erased, Told, eventually


class Publishing:
    def test_ping(self):
        self.assertTrue(self.d.ping())

    def test_life(self):
        """Published, found, moved, withdrawn, gone; and again."""
        for turn in range(2):
            self.put(1, (1, 2, 3))
            found = self.found(("sphere", self.at(0), 10))
            self.assertEqual(found[self.id(1)].position, self.at(1, 2, 3))
            self.assertAlmostEqual(found[self.id(1)].distance, math.sqrt(14), delta=0.01)
            self.put(1, (200, 0))
            eventually(lambda: not self.found(("sphere", self.at(0), 10)))
            self.assertEqual(list(self.found(("sphere", self.at(200), 1))), [self.id(1)])
            self.assertIn(self.d.withdraw(self.id(1)).status, TAKEN)
            self.assertEqual(self.found(("sphere", self.at(200), 1)), {})
            self.assertIn(self.d.withdraw(self.id(2)), [Told("refused", "unknown_entity"), Told("accepted")][:1 + self.several])

    def test_erase(self):
        """Gone, with what it said and what is remembered of it; and where another worker owns it, on its way."""
        on_its_way = [Erased("accepted")][:self.several]
        self.put(1, (1, 2), tags=["x"])
        self.assertIn(self.d.erase(self.id(1)), [Erased("applied", "", frozenset({"record", "details"})), *on_its_way])
        self.assertTrue(eventually(lambda: not self.found(("sphere", self.at(0), 10))))
        self.assertIn(self.d.erase(self.id(1)), [Erased("applied", "", frozenset({"tombstone"})), *on_its_way])
        self.assertIn(self.d.erase(self.id(2)), [Erased("refused", "unknown_entity"), *on_its_way])
        self.assertIn(self.d.erase(self.id(1), "world"), [Erased("refused", "space_differs"), Erased("refused", "unknown_entity"), *on_its_way])
        self.used.discard(1)

    def test_states(self):
        said = [("static", 0, "active", 0), ("mobile", 0, "inactive", 0), ("mobile", 0, "busy", 0), ("custom", 0, "away", 0), ("custom", 127, "custom", 255)]
        for n, (kind, code, state, custom) in enumerate(said):
            self.put(n, (n, 0), type=kind, type_code=code, state=state, custom_state=custom)
        self.put(5, (5, 0), type="temporary", ttl=600)
        found = self.found(("sphere", self.at(0), 10))
        for n, what in enumerate(said):
            r = found[self.id(n)]
            self.assertEqual((r.type, r.type_code, r.state, r.custom_state), what)
        self.assertEqual(found[self.id(5)].type, "temporary")
        self.assertEqual(self.names(("sphere", self.at(0), 10), types=["custom"]), "34")
        self.assertEqual(self.names(("sphere", self.at(0), 10), types=["static", "temporary"]), "05")
        self.assertEqual(self.names(("sphere", self.at(0), 10), states=["busy", "custom"]), "24")

    def test_numbers(self):
        begun = time.monotonic()
        self.put(1, (0.125, -7.25, 1e3), velocity=(0.5, -2.0, 4.0), precision=2.5, ttl=600, radius=5000, confidence=1.0)
        r = self.found(("sphere", self.at(0, 0, 1000), 50))[self.id(1)]
        self.assertEqual((r.position, r.velocity, r.precision), (self.at(0.125, -7.25, 1e3), (0.5, -2.0, 4.0), 2.5))
        passed_ms = (time.monotonic() - begun) * 1000
        self.assertTrue(590000 - passed_ms < r.ttl_left_ms <= 600000 and -100 <= r.age_ms < 10000 + passed_ms, r)

    def test_refused_records(self):
        for reason, fields in (
                ("precision", dict(precision=5000.0)), ("ttl", dict(ttl=90000)), ("ttl_missing", dict(type="temporary")),
                ("schedule_missing", dict(type="recurring")), ("frame_unknown", dict(parent=self.id(99)))):
            # Where another worker owns the entity, what it refuses for what it knows is told to nobody.
            self.assertIn(self.d.publish(self.id(1), self.at(0), **fields), [Told("refused", reason), Told("accepted")][:1 + self.several])
        self.assertEqual(self.d.publish(self.id(1), (91.0, 0.0, 0.0), "world"), Told("refused", "coordinates"))
        self.assertEqual(self.d.publish(self.id(1), (1e9, 0.0, 0.0)), Told("refused", "out_of_bounds"))
        self.assertEqual(self.d.publish(self.id(1), self.at(0), "nowhere"), Told("refused", "space_unknown"))
        self.assertEqual(self.found(("sphere", self.at(0), 10)), {})
        self.put(1, (0, 0))
        self.assertIn(self.d.publish(self.id(1), (60.0, 25.0, 0.0), "world"), [Told("refused", "space_differs"), Told("accepted")][:1 + self.several])
        self.assertEqual(self.d.query(("sphere", (60, 25), 1), "world").rows, {})

    def test_relocation(self):
        self.put(1, (0, 0), type="static", precision=5)
        self.assertIn(self.d.publish(self.id(1), self.at(50), type="static"), [Told("refused", "relocation"), Told("accepted")][:1 + self.several])
        self.put(1, (50, 0), type="static", relocation=True)
        eventually(lambda: self.names(("sphere", self.at(50), 1)) == "1")

    def test_times(self):
        """ttl, duration, staleness: each by the clock."""
        for term in (0.6, 6, 60):
            begun = time.monotonic()
            self.brief(1, (0, 0), term)
            self.put(2, (1, 0), state="busy", duration=term)
            found = self.found(("sphere", self.at(0), 10))
            if time.monotonic() < begun + term and (not self.several or self.id(1) in found):
                self.assertEqual((self.id(1) in found, found[self.id(2)].state), (True, "busy"))
                break
        else:
            self.fail("a busy machine left no time for this")
        self.put(3, (2, 0), announced=300)
        eventually(lambda: self.names(("sphere", self.at(0), 10)) == "23")
        eventually(lambda: self.found(("sphere", self.at(0), 10))[self.id(2)].state == "inactive")
        eventually(lambda: self.found(("sphere", self.at(0), 10))[self.id(3)].stale)
        self.put(3, (2, 0), announced=1)
        eventually(lambda: not self.found(("sphere", self.at(0), 10))[self.id(3)].stale)

    def test_frequency(self):
        """What comes faster than an entity's frequency is coalesced, and seen in its time."""
        for frequency in (60, 60, 12, 2):
            begun = time.monotonic()
            self.put(1, (0, 0), frequency=frequency)
            told = {self.d.publish(self.id(1), self.at(x), frequency=frequency).status for x in (1, 2)}
            if time.monotonic() - begun < 60 / frequency:
                self.assertLessEqual(told, {"coalesced", "accepted"} if self.several else {"coalesced"})
                break
        else:
            self.fail("a busy machine left no time for this")
        eventually(lambda: self.found(("sphere", self.at(0), 10))[self.id(1)].position == self.at(2))


class Details:
    def test_details(self):
        meta = {"draught": 7.5, "crew": 12, "name": "Ål", "armed": False, "owner": None, "key": b"\x00\xff"}
        self.put(1, (0, 0), tags=["ferry", "white"], activity="sailing", meta=meta)
        r = self.found(("sphere", self.at(0), 10))[self.id(1)]
        self.assertEqual((r.tags, r.activity, r.metadata), ({"ferry", "white"}, "sailing", meta))
        self.assertEqual([type(r.metadata[n]) for n in meta], [type(v) for v in meta.values()])
        # Names change one by one, the context as a whole; an update of the position leaves them.
        self.put(1, (1, 0), tags=["red"], meta={"crew": ..., "pilot": True})
        self.put(1, (2, 0))
        r = eventually(lambda: self.found(("sphere", self.at(2), 0.5))).popitem()[1]
        self.assertEqual((r.tags, r.activity), ({"red"}, ""))
        self.assertEqual(r.metadata, {n: v for n, v in meta.items() if n != "crew"} | {"pilot": True})
        # A new life begins without.
        self.d.withdraw(self.id(1))
        self.put(1, (0, 0))
        r = self.found(("sphere", self.at(0), 10))[self.id(1)]
        self.assertEqual((r.tags, r.metadata), (set(), {}))

    def test_filters(self):
        self.put(1, (0, 0), tags=["ferry"], meta={"draught": 7.5, "call sign": "OJKL"}, radius=100, confidence=0.5, velocity=(3, 4, 0))
        self.put(2, (1, 0), type="static", tags=["barge"], activity="waiting", meta={"draught": 2, "armed": True})
        self.put(3, (2, 0), type="custom", type_code=5, state="custom", state_code=9)
        for text, names in (
                ("type = mobile", "1"), ("type in (static, custom)", "23"), ("not type = mobile", "23"), ("state = active", "12"),
                ("custom_type >= 5", "3"), ("custom_state != 9", ""), (f"id in ({self.id(1)}, {self.id(3)})", "13"), ('tag = "ferry" or tag = "barge"', "12"),
                ('tag != "ferry"', "23"), ('activity = "waiting"', "2"), ("meta.draught >= 2", "12"), ("meta.draught = 2.0", "2"), ("meta.draught exists", "12"),
                ("meta.draught not in (2, 3)", "13"), ('meta."call sign" in ("OJKL", "x")', "1"), ("meta.armed = true", "2"), ("meta.armed != 1", "2"),
                ("radius <= 0.1km", "1"), ("radius = unlimited", "23"), ("speed > 4.9 m/s", "1"), ("position_confidence = 0.5", "1"), ("age < 1h", "123"),
                ("stale", ""), ("(type = mobile and meta.draught > 7) or not (age < 1h)", "1")):
            self.assertEqual(self.names(("sphere", self.at(0), 10), filter=text), names, text)

    def test_frames(self):
        self.put(1, (10, 0, 5))
        self.put(2, (1, 2, 3), parent=self.id(1), absolute=True)
        r = self.found(("sphere", self.at(10, 0, 5), 10))[self.id(2)]
        self.assertEqual((r.position, r.parent), (self.at(11, 2, 8), self.id(1)))
        self.put(1, (30, 0, 5))
        if not self.several:  # the same worker owns both
            eventually(lambda: self.found(("sphere", self.at(30, 0, 5), 10)).keys() == {self.id(1), self.id(2)})

    def test_schedules(self):
        now = time.time()
        self.put(1, (0, 0), type="recurring", schedule=(now - 60, 3600, 1800))
        self.put(2, (1, 0), type="recurring", schedule=(now - 60, 3600, 5))
        self.put(3, (2, 0), type="recurring", schedule=(now + 1800, 3600, 5))
        self.assertEqual(self.names(("sphere", self.at(0), 10)), "1")


class Finding:
    def test_volumes(self):
        for n, where in enumerate(((0, 0, 0), (10, 0, 0), (0, 10, 4), (50, 50, 0))):
            self.put(n, where, precision=1)
        at = self.at
        ring = [at(-10, -1)[:2], at(20, -1)[:2], at(20, 11)[:2], at(-10, 11)[:2]]
        hole = [at(5, -.5)[:2], at(15, -.5)[:2], at(15, 5)[:2]]
        circle = [at(12 * math.cos(n * math.pi / 128), 12 * math.sin(n * math.pi / 128))[:2] for n in range(256)]
        for volume, options, names in (
                (("sphere", at(0), 10), {}, "01"), (("sphere", at(0), 11), {}, "012"), (("sphere", at(0), 0), {}, "0"),
                (("box", at(0), at(10, 10, 3)), {}, "01"), (("box", at(0), at(10, 10, 4)), {}, "012"), (("point", at(0.5)), {}, "0"),
                (("point", at(5)), {}, ""), (("polygon", ring), {}, "012"), (("polygon", ring, hole), {}, "02"), (("polygon", circle), {}, "012"),
                (("polygon", ring), dict(heights=(1, 9)), "2"), (("oriented_box", at(5, 5, 2), (8, 1, 3), 135), {}, "12"),
                (("frustum", at(-5), 60, 60, 0, 100, 0), {}, "01"), (("frustum", at(-5), 60, 60, 0, 10, 0), {}, "0"),
                (("sphere", at(0), 100), dict(heights=(3, 5)), "2")):
            self.assertEqual(self.names(volume, **options), names, (volume[0], options))

    def test_nearest(self):
        for n in range(9):
            self.put(n, (n * n, 0))
        at = self.at
        for volume, options, names in (
                (("nearest", at(0), 3, 0), {}, "012"), (("nearest", at(20), 3, 0), {}, "453"), (("nearest", at(20), 9, 5), {}, "45"),
                (("nearest", at(0), 2, 0), dict(filter=f"not id = {self.id(0)}"), "12")):
            found = self.d.query(volume, **options)
            # A crowd of other cases is further away than these.
            self.assertEqual("".join(str(self.number(i)) for i in found.rows), names, volume)
        distances = [r.distance for r in self.d.query(("nearest", at(0), 9, 0)).rows.values()]
        self.assertEqual(distances, sorted(distances))

    def test_earth(self):
        """Distances on the surface, the antimeridian, a pole, heights that are unknown."""
        spots = {1: (60.1675, 24.9625), 2: (60.1675, 24.9625, 120.0), 3: (0.0, 179.9995, 1.0), 4: (89.9999, 10.0)}
        for n, where in spots.items():
            self.taken(self.d.publish(self.id(n), where, "world"), self.id(n), where, "world")
        found = self.found(("sphere", (60.1675, 24.9535), 1000), space="world")
        # 0.009° of longitude on a parallel of WGS84
        latitude = math.radians(60.1675)
        parallel = 6378137 / math.sqrt(1 - 0.00669437999 * math.sin(latitude) ** 2) * math.cos(latitude)
        self.assertAlmostEqual(found[self.id(1)].distance, math.radians(0.009) * parallel, delta=0.005)
        self.assertEqual((found[self.id(1)].position, found[self.id(2)].position), ((*spots[1], None), spots[2]))
        self.assertEqual(self.names(("sphere", (60.1675, 24.9625), 10), space="world", heights=(0, 500)), "2")
        self.assertEqual(self.names(("sphere", (60.1675, 24.9625), 100), space="world"), "12")
        self.assertEqual(self.names(("sphere", (60.1675, 24.9625, 0.0), 100), space="world", three_d=True), "")
        self.assertEqual(self.names(("sphere", (60.1675, 24.9625, 0.0), 121), space="world", three_d=True), "2")
        self.assertEqual(self.names(("box", (-1, 179), (1, -179)), space="world"), "3")
        self.assertEqual(self.names(("sphere", (0, -179.9995), 200), space="world"), "3")
        self.assertEqual(self.names(("sphere", (89.9999, -170), 30), space="world"), "4")
        self.assertEqual(self.names(("polygon", [(-.1, 179.9), (-.1, -179.9), (.1, -179.9), (.1, 179.9)]), space="world"), "3")

    def test_refused_queries(self):
        at = self.at
        for reason, volume, options in (
                ("query_coordinates", ("box", at(1), at(0)), {}), ("query_shape", ("polygon", [at(0, 0)[:2], at(1, 1)[:2], at(1, 0)[:2], at(0, 1)[:2]]), {}),
                ("query_bounds", ("sphere", (0, 0), 3e6), dict(space="world")), ("query_coordinates", ("sphere", (91, 0), 1), dict(space="world")),
                ("query_time", ("sphere", at(0), 1), dict(ahead=599)), ("query_shape", ("frustum", at(0), 1, 1, 5, 5, 0), {}),
                ("space_unknown", ("sphere", at(0), 1), dict(space="nowhere"))):
            found = self.d.query(volume, **options)
            self.assertEqual((found.reason, found.rows), (reason, {}), volume)

    def test_reach(self):
        self.put(1, (0, 0), radius=30)
        sphere = ("sphere", self.at(0), 200)
        self.assertEqual(self.names(sphere), "1")
        self.assertEqual(self.names(sphere, origin=self.at(29)), "1")
        self.assertEqual(self.names(sphere, origin=self.at(31)), "")
        self.assertAlmostEqual(self.found(sphere, origin=self.at(29))[self.id(1)].distance, 29, delta=0.01)

    def test_ahead(self):
        for _ in range(20):
            begun = time.monotonic()
            self.put(1, (0, 0), velocity=(10, 0, 0))
            self.assertEqual(self.names(("sphere", self.at(100), 30)), "")
            found = self.found(("sphere", self.at(100), 60), ahead=10)
            if time.monotonic() - begun < 6:  # else it is out of the sphere by now
                break
        found = found[self.id(1)]
        self.assertTrue(100 <= found.position[0] - self.at(0)[0] < 160 and found.precision > 100, found)

    def test_resolutions(self):
        for n in range(9):
            self.put(n, (n, 0))
        found = self.d.query(("sphere", self.at(0), 50), cells=512)
        self.assertEqual((sum(c.count for c in found.cells), {c.size for c in found.cells}), (9, {512.0}))
        found = self.d.query(("sphere", self.at(0), 50), brief=True)
        self.assertEqual({self.number(i): r.position for i, r in found.rows.items()}, {n: self.at(n) for n in range(9)})
        for age in (0.25, 2, 20):
            time.sleep(age + 0.05)
            begun = time.monotonic()
            self.put(3, (3, 0))
            young = self.names(("sphere", self.at(0), 50), max_age=age)
            if time.monotonic() - begun < age:
                break
        else:
            self.fail("a busy machine left no time for this")
        self.assertIn("3", young)
        self.assertNotIn("0", young)

    def test_limits(self):
        for n in range(30):
            self.put(n, (n / 10, 0))
        found = self.d.query(("sphere", self.at(0), 50), limit=7)
        self.assertEqual((len(found.rows), found.truncated), (7, True))
        found = self.d.query(("sphere", self.at(0), 50))
        self.assertEqual((len(found.rows), found.truncated), (30, False))


class Explaining:
    def test_explain(self):
        self.put(1, (10, 0), radius=100, tags=["x"])
        self.put(2, (0, 0))
        self.d.withdraw(self.id(2))
        near = ("sphere", self.at(0), 50)
        for n, volume, options, first in (
                (1, near, {}, ""), (1, ("sphere", self.at(0), 5), {}, "VOLUME"), (1, near, dict(types=["static"]), "TYPE"),
                (1, near, dict(states=["busy"]), "STATE"), (1, near, dict(filter='not tag = "x"'), "FILTER"), (1, near, dict(heights=(5, 9)), "HEIGHT"),
                (1, near, dict(origin=self.at(200)), "REACH"), (1, ("sphere", (0, 0), 50), dict(space="world"), "SPACE"), (2, near, {}, "GONE"),
                (3, near, {}, "UNKNOWN")):
            told = self.d.explain(self.id(n), volume, **options)
            self.assertEqual((told.found, told.first), (not first, first), (n, options))
            self.assertTrue(not first or first in told.causes)
        told = self.d.explain(self.id(1), ("sphere", self.at(0), 5), types=["static"], states=["away"])
        self.assertEqual(told.causes & {"TYPE", "STATE", "VOLUME"}, {"TYPE", "STATE", "VOLUME"})


class Telling:
    def told(self, watching, seconds=60.0, **wanted):
        """The next event that is as wanted; those before it are let go."""
        for _ in range(round(engine_process.patience(seconds) / 0.02)):
            for n, e in enumerate(watching.events[watching.seen:]):
                if all(getattr(e, k) == v for k, v in wanted.items()):
                    watching.seen += n + 1
                    return e
            watching.pump(0.02)
        engine_process.gave_up()
        raise AssertionError(f"{wanted} did not come: {watching.events}, {watching.reason}")


class Watching(Telling):
    def test_watch(self):
        one, two = self.id(1), self.id(2)
        self.put(1, (0, 0))
        with self.d.watch(("sphere", self.at(0), 50), margin=10.0) as w:
            w.seen = 0
            self.assertEqual(self.told(w, kind="ENTER", id=one).snapshot, True)
            self.told(w, kind="SNAPSHOT_END")
            self.put(2, (100, 0))
            self.put(2, (20, 0))
            self.assertEqual(self.told(w, kind="ENTER", id=two).position, self.at(20))
            self.put(2, (55, 0))  # within the margin
            self.assertEqual(self.told(w, kind="MOVE", id=two).position, self.at(55))
            self.put(2, (100, 0))
            self.assertEqual(self.told(w, kind="LEAVE", id=two).cause, "moved")
            self.d.withdraw(one)
            self.assertEqual(self.told(w, kind="LEAVE", id=one).cause, "gone")
            self.brief(1, (0, 0), 0.5)
            self.told(w, kind="ENTER", id=one)
            self.assertEqual(self.told(w, kind="LEAVE", id=one).cause, "gone")

    def test_watch_filtered(self):
        with self.d.watch(("box", self.at(0, 0, -5), self.at(50, 50, 5)), filter='tag = "x" and state = active', moves=False) as w:
            w.seen = 0
            self.put(1, (1, 1), tags=["y"])
            self.put(2, (2, 2), tags=["x"])
            self.told(w, kind="ENTER", id=self.id(2))
            self.put(2, (3, 3), state="busy")
            self.assertEqual(self.told(w, kind="LEAVE", id=self.id(2)).cause, "moved")
            self.assertFalse([e for e in w.events if e.id == self.id(1) or e.kind == "MOVE"])

    def test_watch_payloads(self):
        with self.d.watch(("sphere", self.at(0), 50), payloads=True) as w:
            w.seen = 0
            text = ("ahoy " * 60).encode()
            self.put(1, (0, 0))
            self.told(w, kind="ENTER", id=self.id(1))
            self.put(1, (1, 0), payload=text)
            self.assertEqual(self.told(w, kind="PAYLOAD", id=self.id(1)).payload, text)

    def test_watch_follows(self):
        self.put(1, (0, 0))
        self.put(2, (200, 0))
        with self.d.watch(("sphere", (0.0, 0.0), 50.0), follow=self.id(1)) as w:
            w.seen = 0
            self.put(1, (190, 0))
            self.told(w, kind="ENTER", id=self.id(2))
            self.put(1, (0, 0))
            self.assertEqual(self.told(w, kind="LEAVE", id=self.id(2)).cause, "moved")

    def test_watch_refused(self):
        for reason, volume in (("fence_kind", ("nearest", self.at(0), 5)), ("query_coordinates", ("box", self.at(1), self.at(0)))):
            if "nearest_watch" in self.d.lacks and volume[0] == "nearest":
                continue
            with self.d.watch(volume) as w:
                self.assertEqual(w.reason, reason)


class Policies(Telling):
    """Where the space has policies: what may be counted only, under COUNTED, and places that a method makes, under SCATTERED."""

    COUNTED, SCATTERED, CELL, BELOW, PUBLISHED = 0xC7, 0xD8, 512.0, 3, 100.0

    def of(self, prefix):
        self.key = self.key & (1 << 120) - 1 | prefix << 120

    def test_counts_below(self):
        """Nobody is known here, or one: each cell has few, and no more is told than that, by whatever is asked."""
        self.of(self.COUNTED)
        middle = tuple((math.floor(n / self.CELL) + 0.5) * self.CELL for n in self.home)
        for n, x in enumerate((0, 1, 2, self.CELL)):
            self.used.add(n)
            self.taken(self.d.publish(self.id(n), (middle[0] + x, middle[1], 0.0), ttl=600.0), self.id(n), (*middle, 0.0), shown=False)
        low, high = (middle[0] - 200, middle[1] - 200, -5.0), (middle[0] + self.CELL, middle[1] + 200, 5.0)
        for volume in (("box", low, high), ("sphere", (*middle, 0.0), 600)):
            self.assertEqual(self.found(volume), {})
            eventually(lambda: {c.few for c in self.d.query(volume, cells=8).cells} == {1} and len(self.d.query(volume, cells=8).cells) == 2)
            # Smaller cells are not told of, larger ones as a sum: that is in the cells of the tree, which may part the two.
            for asked in (8, self.CELL):
                cells = self.d.query(volume, cells=asked).cells
                self.assertEqual({tuple(c.centre[:2]): c[1:] for c in cells},
                                 {(middle[0] + x, middle[1]): (0, self.CELL, 1, self.BELOW) for x in (0, self.CELL)}, (volume, asked))
            cells = self.d.query(volume, cells=8 * self.CELL).cells
            self.assertEqual((sum(c.count for c in cells), sum(c.few for c in cells), {c.below for c in cells}), (0, 2, {self.BELOW}))
        self.assertFalse(self.d.explain(self.id(1), ("box", low, high)).found)
        with self.d.watch(("box", low, high)) as w:
            w.seen = 0
            self.told(w, kind="SNAPSHOT_END")
            self.assertEqual([e for e in w.events if e.id], [])

    def test_coarser(self):
        """Who asks for more than he may see is told so, whatever is there."""
        self.of(self.SCATTERED)
        for volume, margin, published in (
                (("sphere", self.at(0), 50), 0.0, self.PUBLISHED), (("sphere", self.at(0), 150), 0.0, 0), (("sphere", self.at(0), 500), 20.0, self.PUBLISHED),
                (("sphere", self.at(0), 500), 120.0, 0), (("box", self.at(0), self.at(1000, 150, 10)), 0.0, self.PUBLISHED),
                (("box", self.at(0), self.at(1000, 250, 10)), 0.0, 0)):
            with self.d.watch(volume, margin=margin) as w:
                w.seen = 0
                self.told(w, kind="SNAPSHOT_END")
                self.assertEqual(w.published, published, (volume, margin))

    def test_scattered(self):
        """Where it is shown is within its cell, the same to all who ask, and that is where it is found and watched."""
        self.of(self.SCATTERED)
        corner = tuple(math.floor(n / self.PUBLISHED) * self.PUBLISHED for n in self.home)
        self.used.add(1)
        self.taken(self.d.publish(self.id(1), (corner[0] + 10, corner[1] + 20, 0.0), ttl=600.0), self.id(1), (*corner, 0.0), shown=False)
        cell = ("box", (*corner, -5.0), (corner[0] + self.PUBLISHED, corner[1] + self.PUBLISHED, 5.0))
        shown = eventually(lambda: self.found(cell))[self.id(1)].position
        self.assertEqual(self.found(cell)[self.id(1)].position, shown)
        self.assertEqual(list(self.found(("sphere", shown, 0.5))), [self.id(1)])
        with self.d.watch(cell) as w:
            w.seen = 0
            self.assertEqual(self.told(w, kind="ENTER", id=self.id(1)).position, shown)


class Case:
    """What cases share. A suite's class sets `d`, `several` (whether more than one worker runs) and `serial`."""

    def setUp(self):
        number = self.serial[0] = self.serial[0] + 1
        self.home = (2000.0 * number, -3000.0)
        self.key = uuid.uuid4().int >> 32 << 32

    def tearDown(self):
        for n in range(100):
            if n in self.used:
                self.d.withdraw(self.id(n))
        self.used.clear()

    def at(self, x, y=0.0, z=0.0):
        return self.home[0] + x, self.home[1] + y, float(z)

    def id(self, n):
        return str(uuid.UUID(int=self.key + n))

    def number(self, entity_id):
        return uuid.UUID(entity_id).int - self.key

    def taken(self, told, entity_id, where, space="local", shown=True, placed=True):
        """It was taken. Where it is on its way to another worker, which may be asleep, it is waited for by turns: that it is known, and is where it was
        said to be; what else is told of it, or what is not shown now, a little."""
        self.assertIn(told.status, TAKEN, told)
        if told.status == "accepted" and not shown:
            time.sleep(0.4)
        elif told.status == "accepted":
            absent = {"UNKNOWN", "GONE", "VOLUME"} if placed else {"UNKNOWN", "GONE"}
            eventually(lambda: not self.d.explain(entity_id, ("sphere", where, 1.0), space).causes & absent)
            time.sleep(0.04)

    def put(self, n, where, *, absolute=False, state_code=0, **fields):
        """Entity n of this case at a place in its stretch; absolute: as it is said."""
        self.used.add(n)
        fields.setdefault("ttl", 600.0)
        if state_code:
            fields["custom_state"] = state_code
        place = tuple(map(float, where)) if absolute else self.at(*where)
        self.taken(self.d.publish(self.id(n), place, **fields), self.id(n), place, shown="schedule" not in fields,
                   placed="parent" not in fields and not fields.get("frequency"))

    def brief(self, n, where, ttl):
        """Entity n for so short a time that it may have gone before anybody looks."""
        self.used.add(n)
        self.assertIn(self.d.publish(self.id(n), self.at(*where), ttl=ttl).status, TAKEN)

    def found(self, volume, space="local", **options):
        found = self.d.query(volume, space, **options)
        self.assertEqual((found.reason, found.truncated), ("", False))
        return found.rows

    def names(self, volume, space="local", **options):
        """The numbers of those that are found, as a word."""
        return "".join(str(n) for n in sorted(self.number(i) for i in self.found(volume, space, **options)))


ALL = (Publishing, Details, Finding, Explaining, Watching)

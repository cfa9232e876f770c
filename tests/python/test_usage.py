#!/usr/bin/env python3
"""The package against an engine as scripts/demo starts it: the RFC's own usage, word by word, and what else a node can say and ask.

    tests/python/test_usage.py PRESENCED
"""
import asyncio
import io
import contextlib
import functools
import math
import os
import runpy
import socket
import sys
import time
import unittest
import unittest.mock
import uuid
from datetime import timedelta

import python_client
from python_client import PATIENT, ROOT, engine, eventually

from spatio_presence import *
from spatio_presence import errors, wire
from spatio_presence.entities import milliseconds

LOAD = sys.argv[3] if len(sys.argv) > 3 else ""
HELSINKI = (60.1675, 24.9625)


class Kept(Node):
    """A node that remembers what it was told."""

    async def broadcast_presence(self, presence, **more):
        self.broadcast = presence
        self.acknowledged = await super().broadcast_presence(presence, **more)
        return self.acknowledged

    async def query_presence(self, query):
        self.results = await super().query_presence(query)
        return self.results


class Usage(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = engine(PATIENT).__enter__()

    @classmethod
    def tearDownClass(cls):
        counters, identity = cls.engine.stop()
        differences = {k: v for k, v in identity.items() if k[1] == "difference"}
        log = cls.engine.log
        cls.engine.__exit__()
        assert differences and not any(differences.values()), differences
        assert counters["records_applied"] > 0, log

    def node(self, **more):
        return Node(port=self.engine.port, **{"space": LOCAL, "timeout": 20.0, **more})

    async def unless_slow(self, entity, node, seconds, check):
        """Broadcasts twice and checks the second's fate, where there were fewer than so many seconds between them; else again."""
        for _ in range(20):
            begin = time.monotonic()
            await node.broadcast_presence(entity)
            told = await node.broadcast_presence(entity)
            if time.monotonic() - begin < seconds:
                return check(told)
        self.fail("a busy machine left no time for this")

    async def test_rfc_8_1(self):
        """The lines of RFC-102 §8.1 as they are; the prelude gives what they leave open."""
        async with Kept(port=self.engine.port, space=WORLD, position=HELSINKI, timeout=20.0) as node:
            prelude = {"node": node, "current_bounds": Sphere(node.position, 500)}
            exec("from spatio_presence import *", prelude)
            exec((ROOT / "tests" / "python" / "rfc_usage.py").read_text(), prelude)
            await prelude["initialize_presence"]()
            self.assertIn(node.acknowledged.status, ("applied", "accepted"))
            await prelude["discover_nearby"]()
            found = node.results.by_id()[node.broadcast.entity_id]
            self.assertEqual(found.position, (*HELSINKI, None))
            self.assertEqual((found.entity_type, round(found.distance, 2)), (EntityType.MOBILE, 0.0))
            # radius=100: 200 m away nobody sees it. frequency=30: the second of two broadcasts in two seconds is coalesced.
            away = PresenceQuery(Sphere((HELSINKI[0] + 0.0018, HELSINKI[1]), 500))
            self.assertNotIn(node.broadcast.entity_id, (await node.query_presence(away)).by_id())
            told = await node.explain_presence(node.broadcast, away)
            self.assertEqual((told.found, told.first_cause, told.radius), (False, Cause.REACH, 100.0))
            self.assertAlmostEqual(told.asker, 200.5, delta=1)
            await self.unless_slow(node.broadcast, node, 2, lambda told: self.assertEqual(told.status, "coalesced"))
            await node.withdraw_presence(node.broadcast)
            self.assertNotIn(node.broadcast.entity_id, (await node.query_presence(PresenceQuery(prelude["current_bounds"]))).by_id())

    async def test_all_fields(self):
        async with self.node() as node:
            now = int(time.time() * 1000)
            e = PresenceEntity(
                EntityType.CUSTOM, BroadcastConfig(radius=1000, frequency=600, power_mode=PowerMode.LOW_POWER), custom_type=7,
                spatial_address=SpatialAddress((1000.5, -2.25, 3.0), velocity=(1.5, -2.0, 0.25), orientation=(0.0, 0.0, 0.6, 0.8), precision=2.5,
                                               confidence=1.0),
                status=PresenceStatus(ActivityState.CUSTOM, now - 1500, timedelta(minutes=1), 0.5, update_frequency=6, custom_state=9),
                context=PresenceContext("patrol", ("night", "drone")),
                metadata={"battery": 0.75, "crew": 0, "name": "Ålesund", "key": b"\0\1", "armed": False, "owner": None})
            begin = time.monotonic()
            told = await node.broadcast_presence(e, ttl=timedelta(seconds=60))
            self.assertEqual((told.status, told.silence_ms), ("applied", 30000))  # LOW_POWER: 8 × 10 s, but half of the ttl at most
            found, = await node.query_presence(PresenceQuery(Sphere((1000, 0), 50), resolution=QueryResolution(attribute=1)))
            self.assertEqual(found.entity_id, e.entity_id)
            self.assertEqual(found.position, (1000.5, -2.25, 3.0))
            self.assertEqual(found.velocity, (1.5, -2.0, 0.25))
            self.assertEqual((found.entity_type, found.custom_type, found.state, found.custom_state), (EntityType.CUSTOM, 7, ActivityState.CUSTOM, 9))
            self.assertEqual((found.precision, found.status_confidence), (2.5, 127 / 254))
            passed_ms = (time.monotonic() - begin) * 1000
            self.assertTrue(1400 <= found.age_ms <= 2500 + passed_ms and 57500 - passed_ms < found.ttl_left_ms <= 60000, (found, passed_ms))
            # It decays.
            self.assertTrue(0.9 - passed_ms / 20000 < found.position_confidence <= 1.0, (found, passed_ms))
            d = found.details
            self.assertEqual((d.context.activity, set(d.context.tags)), ("patrol", {"drone", "night"}))
            self.assertEqual(d.metadata, dict(e.metadata))
            self.assertIs(type(d.metadata["crew"]), int)
            self.assertEqual([round(q, 6) for q in d.orientation], [0.0, 0.0, 0.6, 0.8])
            # Changes: a name goes, another comes, the context goes; what is not named stays.
            e.metadata, e.context = {"crew": REMOVED, "pilot": "Eva"}, PresenceContext()
            e.spatial_address.orientation = REMOVED
            e.status.timestamp = None
            await node.broadcast_presence(e)
            found, = await node.query_presence(PresenceQuery(Sphere((1000, 0), 50), resolution=QueryResolution(attribute=1)))
            self.assertEqual((found.details.context, found.details.orientation), (None, None))
            self.assertEqual(set(found.details.metadata), {"battery", "name", "key", "armed", "owner", "pilot"})
            brief, = await node.query_presence(PresenceQuery(Sphere((1000, 0), 50), resolution=QueryResolution(attribute=0)))
            self.assertEqual((brief.entity_id, brief.position), (e.entity_id, (1000.5, -2.25, 3.0)))
            await node.withdraw_presence(e)

    async def test_frames_and_schedules(self):
        async with self.node(position=(-3000, 0, 0)) as node:
            ship = PresenceEntity(spatial_address=SpatialAddress((-3000, 0, 0), orientation=heading(90)))
            await node.broadcast_presence(ship)
            crane = PresenceEntity(spatial_address=SpatialAddress((10, 0, 5), reference_frame=ship.entity_id))
            await node.broadcast_presence(crane)
            found = (await node.query_presence(PresenceQuery(Sphere(node.position, 50), resolution=QueryResolution(attribute=1)))).by_id()
            self.assertEqual([round(n, 3) for n in found[crane.entity_id].position], [-3000, 10, 5])
            self.assertEqual((found[crane.entity_id].details.parent, found[crane.entity_id].details.parent_position), (ship.entity_id, (10, 0, 5)))
            now = int(time.time() * 1000)
            shop = PresenceEntity(EntityType.RECURRING, schedule=Schedule(now - 1000, timedelta(hours=1), timedelta(minutes=10)))
            shut = PresenceEntity(EntityType.RECURRING, schedule=Schedule(now - 1000, timedelta(hours=1), 0.5))
            for e in (shop, shut):
                await node.broadcast_presence(e)
            found = (await node.query_presence(PresenceQuery(Sphere(node.position, 50), resolution=QueryResolution(attribute=1)))).by_id()
            self.assertIn(shop.entity_id, found)
            self.assertNotIn(shut.entity_id, found)
            self.assertEqual(found[shop.entity_id].details.schedule.period, timedelta(hours=1))
            for e in (ship, crane, shop, shut):
                await node.withdraw_presence(e)

    async def test_erase(self):
        async with self.node() as node:
            e = PresenceEntity(spatial_address=SpatialAddress((7000.0, 0.0)), metadata={"crew": 3})
            with self.assertRaises(errors.StateConflict) as fault:
                await node.erase_presence(e)
            self.assertEqual((fault.exception.reason_name, fault.exception.entity_id), ("unknown_entity", e.entity_id))
            await node.broadcast_presence(e, ttl=60)
            told = await node.erase_presence(e)
            self.assertEqual((told.entity_id, told.status, told.where, told.repeated),
                             (e.entity_id, "applied", ErasedPlace.RECORD | ErasedPlace.DETAILS, False))
            self.assertEqual(len(await node.query_presence(PresenceQuery(Sphere((7000, 0), 50)))), 0)
            self.assertEqual((await node.erase_presence(e.entity_id)).where, ErasedPlace.TOMBSTONE)
            # What is under way of lives up to that one brings it back no more; a later life does.
            await node.erase_presence(e, incarnation=node.incarnation)
            node._record -= 1
            with self.assertRaises(errors.VersionConflict):
                await node.broadcast_presence(e)
            with self.assertRaises(errors.InvalidState):
                await node.erase_presence(e, incarnation=int(time.time()) + 3600)
            for wrong in (uuid.UUID(int=0),):
                with self.assertRaises(ValueError):
                    await node.erase_presence(wrong)
            with self.assertRaises(ValueError):
                await node.erase_presence(e, incarnation=1 << 32)

    async def test_visibility(self):
        """Who is shown it, and how exactly, by the entity's own word."""
        async with self.node() as node:
            e = PresenceEntity(spatial_address=SpatialAddress((9003.0, 4.0)), broadcast_config=BroadcastConfig(precision=PrecisionLevel.METERS_10))
            await node.broadcast_presence(e, ttl=60)
            found, = await node.query_presence(PresenceQuery(Sphere((9000, 0), 50)))
            self.assertNotEqual(found.position[:2], (9003.0, 4.0))
            self.assertTrue(all(abs(a - b) <= 5 for a, b in zip(found.position, (9003.0, 4.0))), found)
            e.visibility = VisibilityLevel.HIDDEN
            await node.broadcast_presence(e)
            self.assertEqual(len(await node.query_presence(PresenceQuery(Sphere((9000, 0), 50)))), 0)
            e.visibility = VisibilityLevel.RESTRICTED  # no policy says to whom
            with self.assertRaises(Refused) as fault:
                await node.broadcast_presence(e)
            self.assertEqual(fault.exception.reason_name, "visibility")

    async def test_scope(self):
        async with self.node(position=(-7000, 0)) as node:
            scope = SpatialScope(Sphere((-7000, 0, 0), 100), resolution=10, max_propagation=3)
            e = PresenceEntity(spatial_scope=scope, spatial_address=SpatialAddress((-7001, 1, 0)))
            await node.broadcast_presence(e)
            near = PresenceQuery(Sphere(node.position, 500), resolution=QueryResolution(attribute=1))
            found = (await node.query_presence(near)).by_id()[e.entity_id]
            self.assertEqual((found.position, found.details.scope), ((-7005, 5, 0), scope))  # the middle of its cell, at the nearest height
            away = PresenceQuery(Sphere(node.position, 500), origin=(-7000, 150))
            self.assertNotIn(e.entity_id, (await node.query_presence(away)).by_id())
            self.assertEqual((await node.explain_presence(e, away)).first_cause, Cause.SCOPE)
            e.spatial_scope = REMOVED
            await node.broadcast_presence(e)
            found = (await node.query_presence(away)).by_id()[e.entity_id]
            self.assertEqual((found.position, found.details), ((-7001, 1, 0), None))
            self.assertRaises(ValueError, SpatialScope(resolution=1e6).content)
            await node.withdraw_presence(e)

    async def test_volumes(self):
        async with self.node() as node:
            where = {name: uuid.uuid4() for name in "abcd"}
            spots = {"a": (5000, 0, 0), "b": (5010, 0, 0), "c": (5000, 10, 4), "d": (5050, 50, 0)}
            told = await node.broadcast_all([
                PresenceEntity(entity_id=where[n], spatial_address=SpatialAddress(p, precision=1.0)) for n, p in spots.items()])
            self.assertTrue(all(isinstance(t, Acknowledgement) for t in told), told)

            async def names(volume, **more):
                back = {i: n for n, i in where.items()}
                return "".join(back[e.entity_id] for e in await node.query_presence(PresenceQuery(volume, **more)))

            async def among(volume, **more):
                return "".join(sorted(await names(volume, **more)))

            self.assertEqual(await among(Sphere((5000, 0), 10)), "ab")
            self.assertEqual(await among(Sphere((5000, 0), 11)), "abc")
            self.assertEqual(await among(Box((5000, 0, 0), (5010, 10, 3))), "ab")
            self.assertEqual(await among(Point((5000, 0.5, 0))), "a")
            self.assertEqual(await among(Polygon([(4990, -1), (5020, -1), (5020, 11), (4990, 11)], [[(5005, -.5), (5015, -.5), (5015, 5)]])), "ac")
            self.assertEqual(await among(Polygon([(4990, -1), (5020, -1), (5020, 11), (4990, 11)], heights=(1, 9))), "c")
            ring = [(5000 + 12 * math.cos(n * math.pi / 128), 12 * math.sin(n * math.pi / 128)) for n in range(256)]
            self.assertEqual(await among(Polygon(ring, rounded=True)), "abc")
            with self.assertRaises(ValueError):  # it does not fit a message as it is
                await names(Polygon(ring))
            self.assertEqual(await among(OrientedBox((5005, 5, 2), (8, 1, 3), heading(135))), "bc")
            self.assertEqual(await among(Frustum((4995, 0, 0), 60, 60, 0, 100)), "ab")
            self.assertEqual(await names(Nearest((5008, 0), 2)), "ba")
            self.assertEqual(await names(Nearest((5008, 0), 9, within=15)), "bac")
            self.assertEqual(await among(Sphere((5000, 0), 100), heights=(3, 5)), "c")
            self.assertEqual(await names(Sphere((5000, 0), 100), max_results=1, entity_filter=EntityFilter(ids=[where["d"]])), "d")
            cells = await node.query_presence(PresenceQuery(Sphere((5000, 0), 100), resolution=QueryResolution(spatial=8)))
            self.assertEqual((sum(c.count for c in cells.cells), len(cells), {c.size for c in cells.cells}), (4, 0, {8.0}))
            for i in where.values():
                await node.withdraw_presence(i)

    async def test_earth(self):
        async with self.node(space=WORLD, position=(0.0, 179.999)) as node:
            e = PresenceEntity(spatial_address=SpatialAddress((0.0, -179.999, 12.0)))
            await node.broadcast_presence(e)
            ring = [(-0.01, 179.99), (-0.01, -179.99), (0.01, -179.99), (0.01, 179.99)]
            for volume in (Sphere(node.position, 300), Box((-1, 179), (1, -179)), Polygon(ring)):
                found, = await node.query_presence(PresenceQuery(volume, heights=(0, 20)))
                self.assertEqual(found.position, (0.0, -179.999, 12.0))
            self.assertAlmostEqual(found.distance, 0.001 / 360 * 2 * math.pi * 6378137, delta=1)  # the ring's middle is on the antimeridian
            await node.withdraw_presence(e)

    async def test_filters(self):
        async with self.node(position=(9000, 0)) as node:
            ferry = PresenceEntity(context=PresenceContext("sailing", ["ferry"]), metadata={"draught": 7.5, "crew": 12})
            barge = PresenceEntity(EntityType.STATIC, context=PresenceContext("", ["barge"]), metadata={"draught": 2})
            busy = PresenceEntity(status=PresenceStatus(ActivityState.BUSY), spatial_address=SpatialAddress((9000, 0), confidence=0.25))
            for e in (ferry, barge, busy):
                await node.broadcast_presence(e)
            names = {ferry.entity_id: "f", barge.entity_id: "b", busy.entity_id: "u"}
            for expected, wanted in [
                    ("fu", EntityFilter(types=[EntityType.MOBILE])), ("u", EntityFilter(states=[ActivityState.BUSY])),
                    ("f", EntityFilter(tags=["ferry"])), ("", EntityFilter(tags=["ferry", "barge"])), ("f", EntityFilter(activity="sailing")),
                    ("f", EntityFilter(metadata={"draught": (">", 2), "crew": 12})), ("b", EntityFilter(metadata={"draught": 2})),
                    ("bf", EntityFilter(where="not state = busy")), ("u", EntityFilter(min_confidence=0.2)),
                    ("f", EntityFilter(types=[EntityType.MOBILE], where=Filter.parse('meta.draught exists and age < 1h'))),
                    ("bfu", EntityFilter(max_age=timedelta(minutes=1))), ("bu", EntityFilter(ids=[barge.entity_id, busy.entity_id]))]:
                found = await node.query_presence(PresenceQuery(Sphere(node.position, 10), wanted))
                self.assertEqual("".join(sorted(names[e.entity_id] for e in found)), expected, wanted)
            told = await node.explain_presence(barge, PresenceQuery(Sphere(node.position, 10), EntityFilter(types=[EntityType.MOBILE], tags=["ferry"])))
            self.assertEqual((told.first_cause, told.causes), (Cause.TYPE, {Cause.TYPE, Cause.FILTER}))
            for e in (ferry, barge, busy):
                await node.withdraw_presence(e)

    async def test_later(self):
        async with self.node(position=(20000, 0)) as node:
            e = PresenceEntity(spatial_address=SpatialAddress((20000, 0), velocity=(10, 0, 0), precision=1.0))
            for _ in range(20):
                begin = time.monotonic()
                await node.broadcast_presence(e)
                self.assertEqual(len(await node.query_presence(PresenceQuery(Sphere((20100, 0), 20)))), 0)
                found = await node.query_presence(PresenceQuery(Sphere((20100, 0), 20), temporal_window=TimeWindow(timedelta(seconds=10))))
                if time.monotonic() - begin < 2:  # else it is out of the sphere by now
                    break
            found, = found
            self.assertTrue(80 <= found.position[0] - 20000 <= 120 and found.precision > 100)
            with self.assertRaises(errors.InvalidMessage) as told:
                await node.query_presence(PresenceQuery(Sphere((20100, 0), 20), temporal_window=TimeWindow(timedelta(hours=10))))
            self.assertEqual(told.exception.reason_name, "query_time")
            await node.withdraw_presence(e)

    async def test_errors(self):
        async with self.node(position=(0, 0)) as node:
            ship = PresenceEntity()
            await node.broadcast_presence(ship)
            late = Kept(port=self.engine.port, space=LOCAL, position=(0, 0), incarnation=1)
            async with late, Node(port=self.engine.port, space=uuid.uuid4(), position=(0, 0)) as nowhere:
                with self.assertRaises(errors.VersionConflict) as told:
                    await late.broadcast_presence(ship)
                fault = told.exception
                self.assertEqual((fault.reason_name, fault.entity_id, fault.known_incarnation), ("stale", ship.entity_id, node.incarnation))
                late.go_on_from(fault.known_incarnation, fault.known_sequence)
                self.assertEqual((await late.broadcast_presence(ship)).status, "applied")
                with self.assertRaises(errors.OutOfBounds) as told:
                    await nowhere.broadcast_presence(ship)
                self.assertEqual(told.exception.reason_name, "space_unknown")
                with self.assertRaises(errors.OutOfBounds):
                    await nowhere.query_presence(PresenceQuery(Sphere((0, 0), 1)))
                many = await nowhere.broadcast_all([PresenceEntity() for _ in range(20)])
                self.assertEqual({type(t) for t in many}, {errors.OutOfBounds})
            for kind, reason, ask in [
                    (errors.InvalidState, "ttl_missing", lambda: node.broadcast_presence(PresenceEntity(EntityType.TEMPORARY))),
                    (errors.InvalidState, "schedule_missing", lambda: node.broadcast_presence(PresenceEntity(EntityType.RECURRING))),
                    (errors.PrecisionFault, "precision", lambda: node.broadcast_presence(PresenceEntity(
                        spatial_address=SpatialAddress((0, 0), precision=1e6)))),
                    (errors.InvalidMessage, "ttl", lambda: node.broadcast_presence(PresenceEntity(), ttl=timedelta(days=2))),
                    (errors.StateConflict, "unknown_entity", lambda: node.withdraw_presence(uuid.uuid4())),
                    (errors.InvalidCoordinates, "query_coordinates", lambda: node.query_presence(PresenceQuery(Box((1, 0), (0, 0))))),
                    (errors.InvalidCoordinates, "query_shape", lambda: node.query_presence(PresenceQuery(Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])))),
                    (errors.InvalidMessage, "explain_id", lambda: node.explain_presence(uuid.UUID(int=0), PresenceQuery(Sphere((0, 0), 1)))),
                    (errors.StateConflict, "frame_unknown", lambda: node.broadcast_presence(PresenceEntity(
                        spatial_address=SpatialAddress((0, 0), reference_frame=uuid.uuid4()))))]:
                with self.subTest(reason), self.assertRaises(kind) as told:
                    await ask()
                self.assertEqual(told.exception.reason_name, reason)
            await node.withdraw_presence(ship)

    def test_said_wrongly(self):
        """What cannot be said is a ValueError, and nothing is sent."""
        many = {f"n{i}": i for i in range(17)}
        address = SpatialAddress((0, 0))
        for wrong in (
                lambda: Node(timeout=0), lambda: Node(attempts=17), lambda: PresenceEntity(metadata=many).blocks(address, None),
                lambda: PresenceEntity(metadata={"x": math.nan}).blocks(address, None), lambda: PresenceEntity(metadata={"x": 1 << 63}).blocks(address, None),
                lambda: PresenceEntity(metadata={"": 1}).blocks(address, None), lambda: PresenceEntity(metadata={"\n": 1}).blocks(address, None),
                lambda: PresenceEntity(context=PresenceContext("x" * 33)).blocks(address, None),
                lambda: PresenceEntity(context=PresenceContext("", [str(i) for i in range(9)])).blocks(address, None),
                lambda: PresenceEntity().blocks(address, bytes(513)), lambda: milliseconds(-1, "x"), lambda: milliseconds(1e9, "x"),
                lambda: Sphere((0, 0), -1).record(), lambda: Sphere((0,), 1).record(), lambda: Sphere((0, math.inf), 1).record(),
                lambda: Nearest((0, 0), 0).record(), lambda: Nearest((0, 0), 1001).record(), lambda: Polygon([(0, 0), (1, 1)]).record(),
                lambda: Polygon([(0, 0), (1, 1), (0, math.nan)]).record(), lambda: PresenceQuery(Sphere((0, 0), 1), EntityFilter(types=[])).record(),
                lambda: PresenceQuery(Sphere((0, 0), 1), resolution=QueryResolution(spatial=-1)).record(),
                lambda: Filter.parse("type = ship"), lambda: Filter.parse("type = mobile and"), lambda: Filter.parse("not " * 65 + "stale"),
                lambda: EntityFilter(where=" and ".join(["stale"] * 33)).program(),
                lambda: PresenceEntity().blocks(SpatialAddress((0, 0), orientation=(0, 0, 1)), None),
                lambda: PresenceEntity().blocks(SpatialAddress((0, 0), orientation=(0, 0, 1e300, 1)), None),
                lambda: PresenceEntity(schedule=Schedule(1.5, 10, 5)).blocks(address, None),
                lambda: PresenceEntity(spatial_scope=SpatialScope(max_propagation=1.5)).blocks(address, None),
                lambda: OrientedBox((0, 0, 0), (1, 1)).record(), lambda: Frustum((0, 0, 0), "wide", 1, 1, 2).record(),
                lambda: Polygon([(0, 0), (1, 0), (1, 1)], heights=(1,)).record(),
                lambda: PresenceQuery(Sphere((0, 0), 1), resolution=QueryResolution(spatial=1e300)).record(),
                lambda: PresenceQuery(Sphere((0, 0), 1), resolution=QueryResolution(temporal=1.5)).record(),
                lambda: PresenceQuery(Sphere((0, 0), 1), EntityFilter(max_age=math.inf)).record(),
                lambda: wire.subscribe_body(wire.Subscribe(1, 1, wire.REMOVE), names=[-1]),
                *(functools.partial(wrong.record, address, CoordinateSystem.CARTESIAN, sequence=1, now_ms=0) for wrong in (
                    PresenceEntity(status=PresenceStatus(9)), PresenceEntity(visibility=4), PresenceEntity(entity_type=77),
                    PresenceEntity(broadcast_config=BroadcastConfig(power_mode=4)), PresenceEntity(broadcast_config=BroadcastConfig(precision=9))))):
            self.assertRaises(ValueError, wrong)
        self.assertEqual(str(numbered("mmsi", 230035780)), "6d6d7369-0000-0000-0000-00000db61144")
        self.assertRaises(ValueError, numbered, "namespace", 1)
        with self.assertRaises(FilterError) as told:
            Filter.parse('tag = "ä" and  x')
        self.assertEqual(told.exception.column, 16)

    async def test_id_of_another_kind(self):
        """A text in the place of an id is said to be one, before anything is sent."""
        node = Node(port=python_client.free_port(), position=(0, 0), timeout=0.05, attempts=1)
        text = str(uuid.uuid4())
        async with node:
            for ask in (lambda: node.broadcast_presence(PresenceEntity(entity_id=text)), lambda: node.withdraw_presence(text),
                        lambda: node.erase_presence(text), lambda: node.withdraw_presence(None),
                        lambda: node.explain_presence(text, PresenceQuery(Sphere((0, 0), 1)))):
                with self.assertRaisesRegex(TypeError, r"uuid\.UUID, not (str|NoneType)"):
                    await ask()

    async def test_not_there(self):
        """Nobody answers: bounded, and told as a time-out too."""
        async with Node(port=python_client.free_port(), position=(0, 0), timeout=0.05, attempts=2) as node:
            for ask in (node.ping, lambda: node.broadcast_presence(PresenceEntity()),
                        lambda: node.query_presence(PresenceQuery(Sphere((0, 0), 1)))):
                with self.assertRaisesRegex(NoAnswer, rf"no answer from udp://127.0.0.1:{node.transport.port} to 2 attempts: nobody listens there; start"):
                    await ask()
                with self.assertRaises(TimeoutError):
                    await ask()
        unknown = unittest.mock.patch("socket.getaddrinfo", side_effect=socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
        with unknown, self.assertRaisesRegex(socket.gaierror, "nowhere.invalid: Name or service not known; name a host"):
            await Node("nowhere.invalid").open()
        with self.assertRaises(NodeClosed):
            await node.ping()
        with self.assertRaises(ValueError):
            await Node().broadcast_presence(PresenceEntity())

    async def test_counters(self):
        async with self.node(position=(0, 0)) as node:
            self.assertTrue(0 < await node.ping() < 60)
            counters = await node.counters()
            self.assertGreater(counters["rx_packets"], 0)
            self.assertIn("refused_stale", counters)
            self.assertFalse([name for name in counters if name.startswith("counter_")], "client/python/make_names was not run")

    async def test_many(self):
        """More than one page, part and message holds."""
        async with self.node() as node:
            crowd = [PresenceEntity(spatial_address=SpatialAddress((30000 + i % 100, i // 100, 0))) for i in range(3000)]
            told = await node.broadcast_all(crowd, ttl=600)
            self.assertEqual({t.status for t in told} - {"applied", "accepted"}, set())
            query = PresenceQuery(Box((30000, 0, -1), (30099, 29, 1)))
            results = await eventually(lambda: self.full(node, query, 3000))
            self.assertFalse(results.truncated)
            self.assertEqual({e.entity_id for e in results}, {e.entity_id for e in crowd})
            some = await node.query_presence(PresenceQuery(Box((30000, 0, -1), (30099, 29, 1)), max_results=1500))
            self.assertEqual((len(some), some.truncated), (1500, True))
            await asyncio.gather(*(node.withdraw_presence(e) for e in crowd))

    @staticmethod
    async def full(node, query, count):
        results = await node.query_presence(query)
        return results if len(results) == count else None

    async def test_page(self):
        """The program of docs/integrate.md as it stands there, but for the port."""
        program = (ROOT / "docs" / "integrate.md").read_text().split("```python\n")[1].split("```")[0]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-u", "-c", program.replace('Node("127.0.0.1"', f'Node("127.0.0.1", {self.engine.port}'),
            stdout=asyncio.subprocess.PIPE, env=dict(os.environ, PYTHONPATH=str(ROOT / "client" / "python")))
        try:
            lines = [(await asyncio.wait_for(process.stdout.readline(), 100)).decode().split() for _ in range(3)]
            self.assertEqual(lines[0][1:], ["(10.0,", "20.0,", "1.5)", "0.0", "m"])
            self.assertEqual((lines[1][0], lines[2]), ("ENTER", ["SNAPSHOT_END", "None"]))
            self.assertEqual(lines[0][0], lines[1][1])
            async with self.node() as node:
                node.go_on_from(node.incarnation, 100)
                await node.withdraw_presence(uuid.UUID(lines[0][0]))
            self.assertEqual((await asyncio.wait_for(process.stdout.readline(), 100)).decode().split(), ["LEAVE", lines[0][0]])
        finally:
            process.kill()
            await process.wait()

    async def test_example(self):
        """examples/ships_near.py prints the ships near a point."""
        async with self.node(space=WORLD, position=HELSINKI) as node:
            ship = PresenceEntity(entity_id=numbered("mmsi", 999999999), context=PresenceContext("", ["ship"]),
                                  spatial_address=SpatialAddress((60.17, 24.97), velocity=(3, 4, 0)))
            await node.broadcast_presence(ship)
            out = io.StringIO()
            example = runpy.run_path(str(ROOT / "client" / "python" / "examples" / "ships_near.py"))
            with contextlib.redirect_stdout(out):
                await example["main"](["--uri", f"udp://127.0.0.1:{self.engine.port}", "60.1675", "24.9625", "2000"])
            self.assertIn("mmsi:999999999 ", out.getvalue())
            self.assertIn("5.0 m/s", out.getvalue())
            with contextlib.redirect_stderr(out), self.assertRaises(SystemExit):
                await example["main"](["60.1675"])
            self.assertIn("a place is a latitude, a longitude", out.getvalue())
            await node.withdraw_presence(ship)

    @unittest.skipUnless(LOAD, "presence-load was not built")
    async def test_demo(self):
        """The same beside what scripts/demo plays: a recording of ships near Helsinki, 60 times as fast."""
        load = await asyncio.create_subprocess_exec(
            LOAD, "-q", "-p", str(self.engine.port), "--replay", str(ROOT / "tests" / "data" / "aava-ais.csv"), "--lapse", "60", "--for", "100s",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
        try:
            example = runpy.run_path(str(ROOT / "client" / "python" / "examples" / "ships_near.py"))
            out = io.StringIO()
            for _ in range(100):
                with contextlib.redirect_stdout(out):
                    await example["main"](["--uri", f"udp://127.0.0.1:{self.engine.port}", "60.0", "24.9", "50000"])
                if "mmsi:" in out.getvalue():
                    break
                await asyncio.sleep(0.1)
            self.assertRegex(out.getvalue(), r"(?m)^mmsi:[0-9]{9} +[0-9]+ m +[0-9.]+ m/s")
        finally:
            load.kill()
            await load.wait()


if __name__ == "__main__":
    python_client.main("test_usage")

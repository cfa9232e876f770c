#!/usr/bin/env python3
"""Standing queries of the package against an engine: what enters, moves and leaves; a network that loses, repeats and reorders; readers who are
slow; engines that are started again.

    tests/python/test_watching.py PRESENCED
"""
import asyncio
import random
import time
import unittest
import uuid
from datetime import timedelta

import python_client
from python_client import PATIENT, engine, eventually, free_port

from spatio_presence import *
from spatio_presence import errors, replies, wire


def at(x, y=0.0, entity_id=None, **more):
    return PresenceEntity(entity_id=entity_id or uuid.uuid4(), spatial_address=SpatialAddress((x, y, 0.0)), **more)


def number(n):
    return uuid.UUID(int=(0x77 << 96) + n)


class Members:
    """Keeps what a watch tells, and holds it to the protocol's promise: ENTER and LEAVE by turns, MOVE only between, a GAP voids all."""

    def __init__(self, watch):
        self.watch, self.inside, self.events, self.gaps, self.ended = watch, {}, [], 0, None
        self.task = asyncio.ensure_future(self.read())

    async def read(self):
        async for e in self.watch:
            self.take(e)

    def take(self, e):
        pair = (e.fence, e.entity_id)
        self.events.append(e)
        assert self.ended is None, e
        if e.kind is EventKind.ENTER:
            assert pair not in self.inside, f"{e} is a member"
            self.inside[pair] = e.entity.position
        elif e.kind is EventKind.MOVE:
            assert pair in self.inside, f"{e} is no member"
            self.inside[pair] = e.entity.position
        elif e.kind is EventKind.LEAVE:
            assert pair in self.inside and e.cause in LeaveCause, e
            del self.inside[pair]
        elif e.kind is EventKind.GAP:
            self.inside.clear()
            self.gaps += 1
        elif e.kind is EventKind.ENDED:
            self.ended = e.cause

    def ids(self, fence=1):
        return {i for f, i in self.inside if f == fence}

    def kinds(self, entity):
        return [(e.kind.name, e.cause.name if e.cause else None) for e in self.events if e.entity_id == entity]

    def check(self):
        """A reader's failure is the test's."""
        if self.task.done():
            self.task.result()
        return self

    async def until(self, what, seconds=60.0):
        try:
            await eventually(lambda: self.check() and what(), seconds)
        except AssertionError:
            raise AssertionError(f"events {self.events[-10:]}, counts {self.watch.counts}") from None


class Lossy(UdpTransport):
    """Loses, repeats and holds back what comes and goes, by a seed."""

    def __init__(self, port, rng, loss):
        super().__init__("127.0.0.1", port)
        self.rng, self.loss, self.held = rng, loss, []

    async def open(self, received):
        def take(data):
            dice = self.rng.random()
            if dice < self.loss:
                return
            if dice < 2 * self.loss:
                self.held.append(data)
                return
            received(data)
            if dice < 3 * self.loss:
                received(data)
            while self.held and self.rng.random() < 0.5:
                received(self.held.pop(self.rng.randrange(len(self.held))))
        await super().open(take)

    def send(self, message):
        return True if self.rng.random() < self.loss else super().send(message)


class Watching(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = engine(PATIENT).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.engine.__exit__()

    def node(self, **more):
        return Node(port=self.engine.port, **{"space": LOCAL, "timeout": 2.0, **more})

    async def test_comes_and_goes(self):
        async with self.node() as node:
            there = at(1000)
            await node.broadcast_presence(there)
            seen = []
            e = at(1200)
            # As it is written: no more than a loop.
            async for event in node.watch(PresenceQuery(Sphere((1000, 0), 50))):
                seen.append((event.kind.name, event.entity_id == e.entity_id, event.snapshot, event.cause))
                if event.kind is EventKind.SNAPSHOT_END:
                    await node.broadcast_presence(e)
                    e.spatial_address.position = (1010, 0, 0)
                    await node.broadcast_presence(e)
                elif event.kind is EventKind.ENTER and not event.snapshot:
                    self.assertEqual((event.entity.position, event.entity.distance), ((1010, 0, 0), 10))
                    e.spatial_address.position = (1020, 0, 0)
                    await node.broadcast_presence(e)
                elif event.kind is EventKind.MOVE:
                    e.spatial_address.position = (2000, 0, 0)
                    await node.broadcast_presence(e)
                elif event.kind is EventKind.LEAVE and event.entity_id == e.entity_id:
                    await node.withdraw_presence(there)
                elif event.kind is EventKind.LEAVE:
                    break
            self.assertEqual(seen, [("ENTER", False, True, None), ("SNAPSHOT_END", False, False, None), ("ENTER", True, False, None),
                                    ("MOVE", True, False, None), ("LEAVE", True, False, LeaveCause.MOVED), ("LEAVE", False, False, LeaveCause.GONE)])
            await node.withdraw_presence(e)

    async def test_fences(self):
        """Many fences, some added and some taken away; payloads; one that follows."""
        async with self.node() as node:
            fences = [Fence(n, PresenceQuery(Sphere((3000 + 100 * n, 0), 40), EntityFilter(tags=["x"]))) for n in range(1, 31)]
            async with node.watch(fences, SubscriptionConfig(payloads=True)) as watch:
                told = Members(watch)
                e = at(3100, context=PresenceContext("", ["x"]))
                await node.broadcast_presence(e, payload=bytes(range(200)))
                await node.broadcast_presence(at(3100))  # without the tag
                await told.until(lambda: told.ids(1) == {e.entity_id})
                await node.broadcast_presence(e, payload=b"")
                await node.broadcast_presence(e, payload=bytes(512))
                await told.until(lambda: sum(x.kind is EventKind.PAYLOAD for x in told.events) == 3)
                self.assertEqual([x.payload for x in told.events if x.kind is EventKind.PAYLOAD], [bytes(range(200)), b"", bytes(512)])
                explained = await watch.explain_presence(e.entity_id, 1)
                self.assertEqual((explained.found, explained.first_cause), (True, None))
                explained = await watch.explain_presence(e.entity_id, 2)
                self.assertEqual((explained.found, explained.first_cause, explained.beyond), (False, Cause.VOLUME, 60.0))
                with self.assertRaises(errors.StateConflict) as refused:
                    await watch.explain_presence(e.entity_id, 4711)
                self.assertEqual(refused.exception.reason_name, "explain_fence")
                e.spatial_address.position = (3100 + 100 * 29, 0, 0)
                await node.broadcast_presence(e)
                await told.until(lambda: told.inside.keys() == {(30, e.entity_id)})
                follower = at(3000 + 100 * 29, 90)
                await watch.add(Fence(99, PresenceQuery(Sphere((0, 0), 200)), follow=e.entity_id))
                await node.broadcast_presence(follower)
                await told.until(lambda: told.ids(99) == {follower.entity_id})
                await watch.remove(30, 99, 5)
                await told.until(lambda: not told.inside)
                self.assertEqual(told.kinds(follower.entity_id), [("ENTER", None), ("LEAVE", "ENDED")])
                with self.assertRaises(errors.StateConflict) as refused:
                    await watch.remove(12345)
                self.assertEqual((refused.exception.reason_name, refused.exception.fence), ("fence_name", 12345))
                with self.assertRaises(errors.InvalidMessage) as refused:
                    await watch.add(Fence(7000, PresenceQuery(Sphere((0, 0), 1), ), margin=1e6))
                self.assertEqual((refused.exception.reason_name, refused.exception.fence), ("fence_rule", 7000))
            told.task.cancel()
            with self.assertRaises(errors.InvalidMessage) as refused:
                async with node.watch(PresenceQuery(Nearest((0, 0), 5))):
                    pass
            self.assertEqual(refused.exception.reason_name, "fence_kind")

    async def test_bad_network(self):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", end=" ", flush=True)
        rng = random.Random(seed)
        transport = Lossy(self.engine.port, random.Random(rng.random()), 0.15)
        async with self.node() as sender, Node(space=LOCAL, transport=transport, timeout=0.1, attempts=16) as node:
            query = PresenceQuery(Sphere((10000, 0), 100))
            async with node.watch(query, SubscriptionConfig(window=64)) as watch:
                told = Members(watch)
                where = {}
                for _ in range(40):
                    movers = rng.sample(range(60), 20)
                    for n in movers:
                        where[n] = (10000 + rng.uniform(-200, 200), rng.uniform(-20, 20))
                    await sender.broadcast_all([at(*where[n], number(n)) for n in movers])
                    if rng.random() < 0.3:
                        gone = rng.choice(sorted(where))
                        del where[gone]
                        await sender.withdraw_presence(number(gone))
                    await asyncio.sleep(0.01)
                expected = {number(n) for n, (x, y) in where.items() if (x - 10000) ** 2 + y ** 2 <= 100 ** 2}
                await told.until(lambda: told.ids() == expected and
                                 all(told.inside[1, number(n)][:2] == where[n] for n in where if number(n) in expected))
                self.assertGreater(watch.counts.resumes, 0)
                self.assertGreater(watch.counts.repeated, 0)
            told.task.cancel()
            # Requests go on through the same loss, each once in effect.
            for n in range(30):
                told = await node.broadcast_presence(at(11000 + n, 0, number(1000 + n)))
                self.assertIn(told.status, ("applied", "accepted"))
            results = await node.query_presence(PresenceQuery(Sphere((11000, 0), 100)))
            self.assertEqual({e.entity_id for e in results}, {number(1000 + n) for n in range(30)})

    async def test_slow_reader(self):
        """Nobody reads while an entity moves a hundred times: what is read then is the newest, of a bounded row."""
        async with self.node() as node:
            async with node.watch(PresenceQuery(Sphere((20000, 0), 1000)), SubscriptionConfig(window=16)) as watch:
                crowd = [at(20000, n) for n in range(50)]
                for step in range(100):
                    for e in crowd:
                        e.spatial_address.position = (20000 + step, e.spatial_address.position[1], 0)
                    await node.broadcast_all(crowd)
                self.assertLessEqual(len(watch._row), 16)
                told = Members(watch)
                await told.until(lambda: told.ids() == {e.entity_id for e in crowd} and {p[0] for p in told.inside.values()} == {20099})
                moves = sum(e.kind is EventKind.MOVE for e in told.events)
                self.assertLess(moves, 50 * 20)
            told.task.cancel()
            # One that reads on is sent on, window after window, without having to ask.
            async with node.watch(PresenceQuery(Sphere((20000, 0), 1000)), SubscriptionConfig(window=4)) as watch:
                told = Members(watch)
                await told.until(lambda: len(told.events) > 50)
                self.assertLess(watch.counts.resumes, 6)
            told.task.cancel()

    async def test_restart(self):
        """An engine that is killed and started again: GAP, and all that is there then."""
        port = free_port()
        with engine(PATIENT, port=port) as first:
            async with Node(port=port, space=LOCAL, timeout=0.5) as node, Node(port=port, space=LOCAL, timeout=0.5, attempts=16) as orderly:
                watch = node.watch(PresenceQuery(Sphere((0, 0), 100)))
                watch.quiet_max = 0.5
                told = Members(watch)
                old, new = at(1), at(2)
                await node.broadcast_presence(old)
                await told.until(lambda: told.ids() == {old.entity_id})
                first.process.kill()
                first.process.wait()
                with engine(PATIENT, port=port) as second:
                    await orderly.broadcast_presence(new)
                    await told.until(lambda: told.ids() == {new.entity_id})
                    self.assertEqual((told.gaps, watch.counts.begun), (1, 2))
                    gap = next(e for e in told.events if e.kind is EventKind.GAP)
                    self.assertEqual(gap.cause, EndCause.UNKNOWN)
                    # One that ends in order says so.
                    second.stop()
                    await told.until(lambda: told.gaps == 2)
                    self.assertFalse(told.inside)
                with engine(PATIENT, port=port):
                    await eventually(lambda: self.said(orderly, new))
                    await told.until(lambda: told.ids() == {new.entity_id})
                    await watch.close()
                    await asyncio.wait_for(told.task, 60)

    @staticmethod
    async def said(node, entity):
        try:
            await node.broadcast_presence(entity)
        except NoAnswer:
            return False
        return True

    async def test_lease(self):
        """One with an expiration ends; one without goes on although its lease does not."""
        async with self.node() as node:
            ending = node.watch(PresenceQuery(Sphere((0, 0), 1), subscription=SubscriptionConfig(expiration=int(time.time() * 1000) + 3000)))
            kinds = [(e.kind, e.cause) async for e in ending]
            self.assertEqual(kinds[-1], (EventKind.ENDED, EndCause.EXPIRED))
            with self.assertRaises(ValueError):
                await node.query_presence(PresenceQuery(Sphere((0, 0), 1), subscription=SubscriptionConfig()))
            async with node.watch(PresenceQuery(Sphere((0, 0), 1))) as watch:
                told = Members(watch)
                watch._renew_at = time.monotonic()
                watch._nudge.set()
                await told.until(lambda: watch.counts.renewals == 1 and watch._renew_at > time.monotonic() + 100)
            await asyncio.wait_for(told.task, 60)

    async def test_watches(self):
        """So many at a time, and a node that is closed ends them."""
        node = self.node()
        async with node:
            watches = [node.watch(PresenceQuery(Sphere((0, 0), n))) for n in range(1, 17)]
            readers = [Members(w) for w in watches]
            await eventually(lambda: all(r.events for r in readers))
            with self.assertRaises(ValueError):
                await node.watch(PresenceQuery(Sphere((0, 0), 1))).open()
        await asyncio.wait_for(asyncio.gather(*(r.task for r in readers)), 60)
        self.assertFalse(node._watches)

    async def test_closed_at_any_moment(self):
        """Closing ends, whatever the watch was about: events to be read, an acknowledgement due, a request under way."""
        async with self.node() as node, self.node() as sender:
            crowd = [at(50000 + n) for n in range(40)]
            await sender.broadcast_all(crowd)
            for n in range(150):
                watch = node.watch(PresenceQuery(Sphere((50000, 0), 100)), SubscriptionConfig(window=4 + n % 40))
                told = Members(watch)
                while len(told.events) < n % 41:
                    await asyncio.sleep(0)
                if n % 3 == 0:
                    watch._nudge.set()
                await asyncio.wait_for(watch.close(), 120)
                await asyncio.wait_for(told.task, 60)
            self.assertEqual(node._watches, {})

    async def test_dwell(self):
        async with self.node() as node:
            fence = Fence(1, PresenceQuery(Sphere((40000, 0), 10)), margin=5, enter_after=timedelta(milliseconds=200), leave_after=0.2)
            async with node.watch([fence]) as watch:
                told = Members(watch)
                await told.until(lambda: told.events)
                e = at(40000)
                await node.broadcast_presence(e)
                begun = time.monotonic()
                await told.until(lambda: told.ids() == {e.entity_id})
                self.assertGreater(time.monotonic() - begun, 0.15)
                e.spatial_address.position = (40013, 0, 0)
                await node.broadcast_presence(e)
                await told.until(lambda: told.inside[1, e.entity_id][0] == 40013)  # in the margin it moves
                await node.withdraw_presence(e)
                await told.until(lambda: not told.inside)
            told.task.cancel()


class Row(unittest.IsolatedAsyncioTestCase):
    """A watch's row without an engine: numbers in any order, repeats, gaps."""

    async def test_orders(self):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", end=" ", flush=True)
        rng = random.Random(seed)
        header = wire.Header(wire.NOTICE)
        result = replies.ResultRecord(b"\1" * 16, (0.0, 0.0, 0.0), 0, 0.0, (0.0, 0.0, 0.0), 0.0, 1, 0, 0, 1, 0, 0)
        for _ in range(200):
            node = Node()
            node._open, node.transport = True, Nothing()
            watch = node.watch(PresenceQuery(Sphere((0, 0), 1)))
            events, last = [], rng.randrange(20, 300)
            gaps = {rng.randrange(2, last) for _ in range(rng.randrange(3))}
            for n in range(1, last + 1):
                kind = replies.GAP if n in gaps else replies.ENTER
                events.append(replies.Event(n % 7 + 1, kind, 0, 0, n, bytes(16), None) if kind == replies.GAP else
                              replies.Event(n % 7 + 1, kind, 0, 0, n, b"\1" * 16, result))
            starts, notices = 0, []
            while starts < last:
                count = min(rng.randrange(1, 17), last - starts)
                notices.append((starts + 1, events[starts:starts + count]))
                starts += count
            notices += [rng.choice(notices) for _ in range(len(notices) // 3)]
            rng.shuffle(notices)
            seen = []
            for first, some in notices + sorted(notices):
                watch.take_notice(replies.Notice(header, 0, 0, first, some))
                self.assertLessEqual(len(watch._row), 1024)
                if rng.random() < 0.5:
                    seen += iter(watch._take, None)
            seen += iter(watch._take, None)
            numbers = [e.sequence for e in seen]
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertEqual(numbers[-1], last)
            # Only what a GAP made void may be missing.
            missing = set(range(1, last + 1)) - set(numbers)
            self.assertTrue(all(any(m < g for g in gaps) for m in missing), (missing, gaps))
            self.assertTrue(gaps <= set(numbers) | missing)
            self.assertEqual(watch._frontier, last + 1)


    def row(self, *notices, window=512):
        """What is read of a row to which these (first, events) came."""
        node = Node()
        node._open, node.transport = True, Nothing()
        watch = node.watch(PresenceQuery(Sphere((0, 0), 1)), SubscriptionConfig(window=window))
        for first, events in notices:
            watch.take_notice(replies.Notice(wire.Header(wire.NOTICE), 0, 0, first, events))
        return list(iter(watch._take, None)), watch

    async def test_gap_voids(self):
        """What a GAP made void is not waited for, come or not."""
        end, gap = (replies.Event(0, kind, 0, 0, 5, bytes(16), None) for kind in (replies.SNAPSHOT_END, replies.GAP))
        seen, watch = self.row((1, [end]), (3, [end]), (20, [gap, end]), (5, [end]))
        self.assertEqual([(e.sequence, e.kind.name) for e in seen], [(20, "GAP"), (21, "SNAPSHOT_END")])
        self.assertEqual((watch._frontier, watch.counts.gaps, watch.counts.repeated), (22, 1, 1))
        seen, _ = self.row((1, [end]), (3, [end]), (2, [gap]))
        self.assertEqual([(e.sequence, e.kind.name) for e in seen], [(2, "GAP"), (3, "SNAPSHOT_END")])

    async def test_pieces(self):
        """Payloads are whole or not told: of pieces that do not go on with one another nothing is."""
        a, b = b"\1" * 16, b"\2" * 16

        def piece(number, entity=a, size=100, time=5, fence=1):
            return replies.Event(fence, replies.PAYLOAD, number, size, time, entity, None, bytes([number + 65]) * min(48, size - 48 * number))

        whole = b"A" * 48 + b"B" * 48 + b"C" * 4
        gap = replies.Event(0, replies.GAP, 0, 0, 5, bytes(16), None)
        for told, halves, pieces in (
                ([whole], 0, [piece(0), piece(1), piece(2)]), ([whole, whole], 0, [piece(0), piece(0, b), piece(1), piece(1, b), piece(2, b), piece(2)]),
                ([whole], 1, [piece(0), piece(1), piece(0), piece(1), piece(2)]), ([], 2, [piece(0), piece(2)]), ([], 2, [piece(1), piece(2)]),
                ([], 3, [piece(0), piece(1, time=6), piece(2, time=5)]), ([], 3, [piece(0), piece(1, size=101), piece(2)]), ([b""], 0, [piece(0, size=0)]),
                ([], 2, [piece(0), gap, piece(1), piece(2)]), ([], 0, [piece(0), piece(1), piece(0, fence=2)])):
            seen, watch = self.row((1, pieces))
            self.assertEqual([e.payload for e in seen if e.kind is EventKind.PAYLOAD], told, pieces)
            self.assertEqual(watch.counts.halves, halves, pieces)
        many = [piece(0, n.to_bytes(16, "little")) for n in range(1, 101)]
        _, watch = self.row((1, many))
        self.assertEqual((len(watch._halves), watch.counts.halves), (32, 68))


class Nothing:
    async def open(self, received):
        pass

    def send(self, message):
        return True

    def close(self):
        pass


if __name__ == "__main__":
    python_client.main("test_watching")

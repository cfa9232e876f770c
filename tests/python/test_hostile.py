#!/usr/bin/env python3
"""The package against a server that lies: malformed, repeated, late, foreign and endless answers. Nothing but the package's own errors comes of it,
and what is kept stays bounded.

    tests/python/test_hostile.py
"""
import asyncio
import functools
import json
import random
import struct
import time
import tracemalloc
import unittest
import uuid

import python_client
from python_client import ROOT, eventually

from spatio_presence import *
from spatio_presence import replies, wire

REPLIES = [bytes.fromhex(v["bytes"]) for path in sorted((ROOT / "tests" / "vectors").glob("*.json"))
           for v in json.loads(path.read_text())["vectors"] if v["side"] == "client"]
ANSWERED = {wire.PING: wire.PONG, wire.STATE_REQUEST: wire.STATE_RESPONSE, wire.QUERY: wire.RESPONSE}


class Liar(asyncio.DatagramProtocol):
    """Answers each datagram as `answer(header, data)` says, which gives datagrams."""

    def __init__(self, answer):
        self.answer, self.asked, self.asker = answer, [], None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.asked.append(data)
        self.asker = address
        for told in self.answer(wire.HEADER.unpack_from(data), data):
            self.transport.sendto(told, address)


def head(kind, to, items, flags=0, stream=None):
    return wire.HEADER.pack(1, kind, flags, to[3] if stream is None else stream, 1, 1, 0, items, 0, 0, bytes(16), 0, bytes(16))


def result(n):
    return struct.pack("<16s3dif3eeHBBBBBB", uuid.UUID(int=n + 1).bytes, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1, 0, 0, 0)


def part(to, n, results=1, flags=0, query=1, sequence=None, cursor=(0, 0)):
    body = struct.pack("<IBBHQIHHQQQ", query, 0, 0, flags, to[4] if sequence is None else sequence, to[3], n, results, *cursor, 0)
    return head(wire.RESPONSE, to, 1) + body + b"".join(result(n * 16 + i) for i in range(results))


def subscribed(to, data, code=0, reason=0):
    return head(wire.SUBSCRIBE, to, 0, 2) + data[80:88] + struct.pack("<BBBBHHIIQIIQ", data[88], code, reason, 0, 0xFFFF, 0, 1, 0, 1, 60000, 0, to[4])


@functools.cache
def sixteen(kind):
    """Events of one kind. Made once, for a server that tells of them faster than anybody reads."""
    return b"".join(struct.pack("<IBBHQ", 1, kind, 0, 0, 5) + result(i) for i in range(16))


def notice(to, data, first, kind=1):
    return head(wire.NOTICE, to, 16) + data[80:88] + struct.pack("<QQQ", first, 0, 0) + sixteen(kind)


class Hostile(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.faults = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.faults.append(context))

    async def asyncTearDown(self):
        self.assertEqual(self.faults, [])

    async def against(self, answer, **more):
        transport, liar = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Liar(answer), local_addr=("127.0.0.1", 0))
        self.addCleanup(transport.close)
        node = Node(port=transport.get_extra_info("sockname")[1], position=(0, 0), **{"timeout": 20.0, "attempts": 2, **more})
        await node.open()
        self.addAsyncCleanup(node.close)
        return node, liar

    @staticmethod
    def requests(node):
        e = PresenceEntity()
        query = PresenceQuery(Sphere((0, 0), 1))
        return (node.ping, lambda: node.broadcast_presence(e), lambda: node.query_presence(query), lambda: node.explain_presence(e, query),
                node.counters, lambda: node.withdraw_presence(e), lambda: node.watch(query).open())

    async def test_noise(self):
        """Random bytes, what is broken, what is sound and answers something else, and requests thrown back: nobody is answered by it."""
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", end=" ", flush=True)
        rng = random.Random(seed)

        def answer(header, data):
            yield data
            yield rng.randbytes(rng.randrange(3000))
            for _ in range(20):
                told = bytearray(rng.choice(REPLIES))
                if rng.random() < 0.5 and len(told) > 16:
                    struct.pack_into("<I", told, 4, header[3])  # the asker's stream
                if rng.random() < 0.5:
                    told[rng.randrange(len(told))] ^= 1 << rng.randrange(8)
                yield bytes(told)

        node, _ = await self.against(answer, timeout=0.05)
        for _ in range(6):
            for ask in self.requests(node):
                with self.assertRaises(PresenceError):
                    await ask()
        await eventually(lambda: node.traffic.malformed > 50 and node.traffic.unexpected > 20)
        self.assertEqual((node._pending, node._watches), ({}, {}))

    async def test_almost(self):
        """Right in all but one thing, again and again, before what is right comes."""
        def answer(h, data):
            if h[1] == wire.PING:
                yield head(wire.PONG, h, 1) + bytes(16)
                yield head(wire.PONG, h, 1, stream=h[3] ^ 1) + data[80:96]
                yield head(wire.PONG, h, 1) + data[80:96]
            elif h[1] == wire.QUERY:
                yield part(h, 0, query=2, flags=replies.LAST)
                yield part(h, 0, sequence=h[4] + 1, flags=replies.LAST)
                yield part(h, 1)
                yield part(h, 0, 2, flags=replies.SHORT)
                yield part(h, 2000)
                yield part(h, 1, 3)  # a second one of that number
                yield part(h, 2, flags=replies.LAST)
                yield part(h, 3)  # behind the last
                yield part(h, 3, flags=replies.LAST)
                yield part(h, 0)
                yield part(h, 0, 4)  # late
            elif h[1] == wire.UPDATE:
                for broadcast, sequence, records in ((bytes(16), h[4], 1), (data[80:96], h[4] + 1, 1), (data[80:96], h[4], 2), (data[80:96], h[4], 1)):
                    yield head(wire.UPDATE, h, records, 2) + broadcast + struct.pack("<QQ", sequence, 0) + bytes(16 * records)
                yield head(wire.UPDATE, h, 1, 2) + data[80:96] + struct.pack("<QQ", h[4], 0) + struct.pack("<BBBBIII", 3, 2, 25, 0, 0, 0, 0)

        node, _ = await self.against(answer)
        self.assertGreater(await node.ping(), 0)
        found = await node.query_presence(PresenceQuery(Sphere((0, 0), 1)))
        self.assertEqual([e.entity_id.int for e in found], [1, 17, 33])
        self.assertEqual((await node.broadcast_presence(PresenceEntity())).status, "applied")
        self.assertEqual(node.traffic.retries, 0)

    async def test_endless_parts(self):
        """Parts without a last one, of one query and more than fit: bounded, and told as incomplete."""
        node, _ = await self.against(lambda h, data: [part(h, n, 16) for n in range(1100)], attempts=1, timeout=2.0)
        with self.assertRaises(Incomplete):
            await node.query_presence(PresenceQuery(Sphere((0, 0), 1)))
        self.assertEqual(node._pending, {})

    async def test_endless_pages(self):
        """A cursor that leads on for ever, with results and without."""
        for results, pages in ((0, 256), (8, 256)):
            turn = iter(range(1, 1 << 30))
            node, liar = await self.against(lambda h, data: [part(h, 0, results, replies.LAST | replies.TRUNCATED, cursor=(next(turn), 7))])
            found = await node.query_presence(PresenceQuery(Sphere((0, 0), 1)))
            self.assertEqual((len(liar.asked), found.truncated, len(found)), (pages, True, results))
        node, liar = await self.against(lambda h, data: [part(h, 0, 0, replies.LAST | replies.TRUNCATED, cursor=(9, 9))])
        await node.query_presence(PresenceQuery(Sphere((0, 0), 1)))
        self.assertEqual(len(liar.asked), 2)

    async def test_flood_of_notices(self):
        """A server that takes no heed of the window and numbers as it likes, while nobody reads."""
        asked = []

        def answer(h, data):
            if h[1] == wire.SUBSCRIBE:
                asked.append((h, data))
                yield subscribed(h, data)

        node, liar = await self.against(answer, timeout=0.02, attempts=16)
        watch = node.watch(PresenceQuery(Sphere((0, 0), 1)))
        await watch.open()
        tracemalloc.start()
        # A busy machine takes fewer of them in the same time, so that their number has its say in the end.
        rounds, n, give_up = 0, -1, time.monotonic() + 60
        while (rounds < 50 or node.traffic.received <= 400) and time.monotonic() < give_up:
            rounds += 1
            # Whether it was asked for or not, which who has enough to read does not: more than a socket has room for.
            for n in range(n + 1, n + 41):
                for told in (notice(*asked[-1], 1 + 16 * n), notice(*asked[-1], (1 << 63) + 16 * n), notice(*asked[-1], 5 + 100000 * n, kind=3)):
                    liar.transport.sendto(told, liar.asker)
            watch._nudge.set()
            watch._ask_at = 0.0
            await asyncio.sleep(0.02)
        size, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        self.assertGreater(node.traffic.received, 400)
        self.assertLessEqual(len(watch._row), 1024)
        self.assertGreater(watch.counts.beyond, 0)
        self.assertLess(size, 4 << 20)
        # Its reader gets the row and no more.
        seen = [await watch.__anext__() for _ in range(100)]
        self.assertEqual([e.sequence for e in seen], sorted({e.sequence for e in seen}))
        await watch.close()

    async def test_unknown_again(self):
        """An engine that takes each subscription and forgets it at once: begun again each time, and told as GAPs, one at a time."""
        def answer(h, data):
            if h[1] == wire.SUBSCRIBE:
                yield subscribed(h, data) if data[88] == wire.OPEN else subscribed(h, data, 0x20, 70)

        node, _ = await self.against(answer, timeout=0.05, attempts=16)
        watch = node.watch(PresenceQuery(Sphere((0, 0), 1)))
        seen = [await watch.__anext__() for _ in range(5)]
        self.assertEqual({e.kind for e in seen}, {EventKind.GAP})
        self.assertGreaterEqual(watch.counts.begun, 5)
        await watch.close()
        self.assertEqual(node._watches, {})

    async def test_refusals(self):
        """Codes and reasons that no list has."""
        node, _ = await self.against(lambda h, data: [
            head(wire.UPDATE, h, 1, 2) + data[80:96] + struct.pack("<QQ", h[4], 0) + struct.pack("<BBBBIII", 4, 0x99, 255, 0, 0, 0, 0)
            if h[1] == wire.UPDATE else head(wire.RESPONSE, h, 1) + struct.pack("<IBBHQIHHQQQ", 0, 0xFF, 200, 5, h[4], h[3], 0, 0, 0, 0, 0)])
        with self.assertRaises(Refused) as told:
            await node.broadcast_presence(PresenceEntity())
        self.assertEqual((told.exception.code, told.exception.reason, told.exception.dropped), (0x99, 255, True))
        with self.assertRaises(Refused) as told:
            await node.query_presence(PresenceQuery(Sphere((0, 0), 1)))
        self.assertEqual((told.exception.code, told.exception.reason_name), (0xFF, ""))

    async def test_busy_loop(self):
        """A loop that stands still for longer than all attempts: the answers that came meanwhile count."""
        node, _ = await self.against(lambda h, data: [head(wire.PONG, h, 1) + data[80:96]], timeout=0.02, attempts=1)
        asks = [asyncio.ensure_future(node.ping()) for _ in range(40)]
        await asyncio.sleep(0)
        for _ in range(6):  # the server shares this loop: by turns it answers some, and the loop stands still
            await asyncio.sleep(0)
            time.sleep(0.03)
        told = await asyncio.gather(*asks, return_exceptions=True)
        self.assertEqual([t for t in told if isinstance(t, Exception)], [])

    async def test_cancelled(self):
        """A request that is given up leaves nothing behind: no entry, no place taken, and its late answer is nobody's."""
        node, liar = await self.against(lambda h, data: [], in_flight=2, timeout=60)
        for ask in self.requests(node) * 3:
            task, before = asyncio.ensure_future(ask()), len(liar.asked)
            await eventually(lambda: len(liar.asked) > before)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertEqual((node._pending, node._watches), ({}, {}))
        self.assertEqual(node._room._value, 2)
        self.assertGreater(len(liar.asked), 20)

    async def test_closing_cancelled(self):
        """Closing that is given up, for the engine does not answer it, leaves nothing behind either."""
        def answer(h, data):
            return [subscribed(h, data)] if h[1] == wire.SUBSCRIBE and data[88] == wire.OPEN else []

        node, liar = await self.against(answer, timeout=60)
        for closed in (lambda watch: watch.close(), lambda watch: node.close()):
            watch = node.watch(PresenceQuery(Sphere((0, 0), 1)))
            await watch.open()
            reader = asyncio.ensure_future(anext(watch, None))
            closing = asyncio.ensure_future(closed(watch))
            await eventually(lambda: any(data[1] == wire.SUBSCRIBE and data[88] == wire.CLOSE for data in liar.asked))
            closing.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await closing
            self.assertEqual((node._watches, node._pending), ({}, {}))
            self.assertIsNone(await asyncio.wait_for(reader, 60))
            liar.asked.clear()
        with self.assertRaises(NodeClosed):
            await node.ping()
        self.assertTrue(node.transport._transport.is_closing())

    async def test_closed_while_it_opens(self):
        """A watch that is closed before the engine has answered: the engine is told, and nobody waits for its events."""
        held = []
        node, liar = await self.against(lambda h, data: held.append((h, data)) or [], timeout=60)
        watch = node.watch(PresenceQuery(Sphere((0, 0), 1)))
        readers = [asyncio.ensure_future(anext(watch, None))]
        await eventually(lambda: held)
        readers.append(asyncio.ensure_future(anext(watch, None)))  # waits for the first one's answer
        await asyncio.sleep(0)
        await watch.close()
        node._received(subscribed(*held[0]))
        self.assertEqual(await asyncio.wait_for(asyncio.gather(*readers), 60), [None, None])
        self.assertEqual((node._watches, watch._task), ({}, None))
        await eventually(lambda: len(liar.asked) >= 2)
        self.assertEqual([data[88] for data in liar.asked], [wire.OPEN, wire.CLOSE])

    async def test_other_counters(self):
        """Counters that nobody asked for, for ever, are no answer."""
        def answer(h, data):
            return [head(wire.STATE_RESPONSE, h, 0) + struct.pack("<HHHBBQ", 1, 7, 9, 0, 0, h[4])]

        node, liar = await self.against(answer, timeout=0.05, attempts=2)
        with self.assertRaises(NoAnswer):
            await asyncio.wait_for(node.counters(), 60)
        self.assertEqual(len(liar.asked), 2)

    async def test_half_a_crowd(self):
        """One that cannot be said: none is sent."""
        node, liar = await self.against(lambda h, data: [], timeout=0.05, attempts=1)
        crowd = [PresenceEntity() for _ in range(40)]
        long = {f"n{i}": "x" * 56 for i in range(15)}
        for wrong in (PresenceEntity(broadcast_config=BroadcastConfig(frequency=1 << 16)), PresenceEntity(metadata={"x": 1}, custom_type=128, entity_type=EntityType.CUSTOM),
                      PresenceEntity(metadata=long, context=PresenceContext("y" * 32, ["z" * 31 + str(i) for i in range(8)]), spatial_scope=SpatialScope())):
            with self.assertRaises(ValueError):
                await node.broadcast_all([*crowd, wrong])
            for _ in range(20):
                await asyncio.sleep(0)
        self.assertEqual((len(liar.asked), node.traffic.sent), (0, 0))

    async def test_another_loop(self):
        """A node that is asked from another loop than its own says so, and sends nothing."""
        node, liar = await self.against(lambda h, data: [])
        for ask in self.requests(node):
            with self.assertRaisesRegex(RuntimeError, "belongs to the event loop"):
                await asyncio.to_thread(asyncio.run, ask())
        self.assertEqual((liar.asked, node._pending, node._watches), ([], {}, {}))

    async def test_many_waiting(self):
        """No more than `in_flight` requests are out at a time, however many ask."""
        node, liar = await self.against(lambda h, data: [], in_flight=8, attempts=1, timeout=0.05)
        asks = [asyncio.ensure_future(node.ping()) for _ in range(40)]
        most = 0
        while not all(ask.done() for ask in asks):
            await asyncio.sleep(0)
            most = max(most, len(node._pending))
        await eventually(lambda: len(liar.asked) >= 40)
        self.assertEqual((most, len(liar.asked)), (8, 40))
        told = await asyncio.gather(*asks, return_exceptions=True)
        self.assertEqual({type(t) for t in told}, {NoAnswer})
        # And those that still wait when it is closed are told so.
        ask = asyncio.ensure_future(node.ping())
        await asyncio.sleep(0)
        await node.close()
        with self.assertRaises(NodeClosed):
            await ask


if __name__ == "__main__":
    python_client.main("test_hostile")

#!/usr/bin/env python3
"""The package's ring transport: the ring by itself against a queue, beside a fake engine that lies, and against a real one, which is killed and started
again.

    tests/python/test_shared.py [PRESENCED]
"""
import asyncio
import collections
import mmap
import os
import random
import socket
import struct
import tempfile
import unittest

import python_client
from python_client import Engine, engine_process, eventually

from spatio_presence import *
from spatio_presence import rings, wire

YAML = "sources: [{ring: {path: \"@path@\", ring_kb: 256}}]\n" + python_client.PATIENT


def served():
    """Whether the engine has ring sources."""
    if not engine_process.BINARY:
        return False
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write("sources: [{ring: {path: /tmp/presence.sock}}]\n")
        config.flush()
        return engine_process.run("--config", config.name, "--check-config").returncode == 0


class Other:
    """The engine's side of a ring, written from docs/rings.md: takes from `up`, puts into `down`."""

    def __init__(self, up_bytes, down_bytes, epoch=7, version=1):
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, rings.PAGE + up_bytes + down_bytes)
        self.memory = mmap.mmap(self.fd, rings.PAGE + up_bytes + down_bytes)
        struct.pack_into("<IHHQIIQQ", self.memory, 0, rings.MAGIC, version, 64, epoch, up_bytes, down_bytes, rings.PAGE, rings.PAGE + up_bytes)
        self.up_bytes, self.down_bytes, self.head, self.tail, self.epoch = up_bytes, down_bytes, 0, 0, epoch

    def get(self, at):
        return struct.unpack_from("<Q", self.memory, at)[0]

    def set(self, at, value):
        struct.pack_into("<Q", self.memory, at, value)

    def take(self):
        while True:
            at = self.head % self.up_bytes
            word = self.get(rings.PAGE + at)
            size = word & 0xFFFFFFFF
            if not word:
                return None
            assert word >> 32 == self.head // 64 + 1 & 0xFFFFFFFF, "no word of this position"
            if size == rings.WRAP:
                assert at
                self.head += self.up_bytes - at
                continue
            assert 1 <= size <= 1452 and at + 8 + size <= self.up_bytes
            message = self.memory[rings.PAGE + at + 8:rings.PAGE + at + 8 + size]
            self.head += -(-(8 + size) // 64) * 64
            return message

    def release(self):
        self.set(128, self.head)

    def put(self, message):
        base, need = rings.PAGE + self.up_bytes, -(-(8 + len(message)) // 64) * 64
        rest = self.down_bytes - self.tail % self.down_bytes
        if self.down_bytes - (self.tail - self.get(256)) < need + 64 + (rest if rest < need else 0):
            return False
        if rest < need:
            self.word(base, rings.WRAP, rest)
        at = base + self.tail % self.down_bytes
        self.memory[at + 8:at + 8 + len(message)] = message
        self.word(base, len(message), need)
        return True

    def word(self, base, size, need):
        self.set(base + (self.tail + need) % self.down_bytes, 0)
        self.set(base + self.tail % self.down_bytes, (self.tail // 64 + 1 & 0xFFFFFFFF) << 32 | size)
        self.tail += need

    def close(self):
        self.memory.close()
        os.close(self.fd)


class Alone(unittest.TestCase):
    def test_queue(self):
        """Random messages both ways, by turns, many laps: what is taken is what was put, in order, and nothing is full for ever."""
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", end=" ", flush=True)
        rng = random.Random(seed)
        other = Other(16384, 32768)
        ring = rings.Ring(mmap.mmap(other.fd, rings.PAGE + 16384 + 32768), 16384, 32768)
        up, down, full = collections.deque(), collections.deque(), 0
        for _ in range(8000):
            what = rng.randrange(4)
            if what < 2:
                put, queue = ((ring.put, up), (other.put, down))[what]
                for _ in range(rng.randrange(16)):
                    message = rng.randbytes(rng.choice((1, 55, 56, 57, 120, 121, 1384, 1452, rng.randrange(1, 1453))))
                    if put(message):
                        queue.append(message)
                    else:
                        full += 1
            elif what == 2:
                for _ in range(rng.randrange(20)):
                    self.assertEqual(other.take(), up.popleft() if up else None)
                if rng.random() < 0.7:
                    other.release()
            else:
                for _ in range(rng.randrange(20)):
                    self.assertEqual(ring.take(), down.popleft() if down else None)
                if rng.random() < 0.7:
                    ring.release()
        self.assertGreater(full, 10)
        self.assertGreater(min(ring.tail, ring.head), 16384 * 20)
        ring.close()
        other.close()

    def test_word_of_an_earlier_lap(self):
        """What lies in a ring from the lap before is no record of this one."""
        other = Other(16384, 16384)
        ring = rings.Ring(mmap.mmap(other.fd, rings.PAGE + 32768), 16384, 16384)
        for _ in range(16384 // 64 * 2):
            self.assertTrue(other.put(b"x"))
            self.assertEqual((ring.take(), ring.take()), (b"x", None))
            ring.release()
        for word in (1, 1 << 32 | 1453, 5 << 32 | 1, 0xFFFFFFFF, (ring.head // 64 + 1) << 32, (ring.head // 64 + 1) << 32 | 1453):
            other.set(rings.PAGE + 16384 + ring.head % 16384, word)
            with self.assertRaises(rings._Broken):
                ring.take()
        for head in (1, 1 << 63, 64):  # of the engine, which has taken nothing
            ring.seen, ring.tail = 0, 16384 - 64 if head != 64 else 0
            other.set(128, head)
            with self.assertRaises(rings._Broken):
                ring._room(16384)
        ring.close()
        other.close()


class Liar:
    """Listens like an engine. `welcome(hello)` gives the packet and its descriptors; what it put into its ring is up to the test."""

    def __init__(self, path, welcome):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(path)
        self.socket.listen(8)
        self.socket.setblocking(False)
        self.welcome, self.clients, self.loop = welcome, [], asyncio.get_running_loop()
        self.loop.add_reader(self.socket, self.accept)

    def accept(self):
        client, _ = self.socket.accept()
        client.settimeout(60)
        data, fds = self.welcome(client.recv(100))
        self.clients.append(client)
        if data is not None:
            socket.send_fds(client, [data], fds)
            client.setblocking(False)
        else:
            client.close()

    def close(self):
        self.loop.remove_reader(self.socket)
        for s in (self.socket, *self.clients):
            s.close()


class Lying(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="presence-ring-")
        self.addCleanup(self.folder.cleanup)
        self.path = self.folder.name + "/s"
        self.faults = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.faults.append(context))

    async def asyncTearDown(self):
        self.assertEqual(self.faults, [])

    async def test_nobody(self):
        with self.assertRaisesRegex(FileNotFoundError, f"is presenced running, with a ring source at this path.: '{self.path}'"):
            await Node(transport=RingTransport(self.path)).open()

    async def test_welcomes(self):
        """What is offered is checked, and nothing is left open of what is refused."""
        other, event = Other(16384, 16384), os.eventfd(0)
        good = dict(magic=rings.MAGIC, version=1, answer=0, epoch=7, up=16384, down=16384, memory=rings.PAGE + 32768)
        offers = [
            ({}, 1), ({}, 0), ({"magic": 1}, 2), ({"version": 2}, 2), ({"version": 2}, 3), ({"version": 3}, 3), ({"version": 0}, 2), ({}, 3), ({"epoch": 8}, 2), ({"up": 16383}, 2), ({"up": 8192, "down": 24576}, 2),
            ({"memory": rings.PAGE + 65536, "up": 32768, "down": 32768}, 2), ({"memory": 1 << 40}, 2), ({"up": 1 << 31, "down": 1 << 31, "memory": 4096 + (1 << 32)}, 2)]
        offers += [({"answer": n}, 0) for n in (1, 2, 3, 4, 5, 6, 7, 200)]
        for cut in (None, b"", b"x" * 47, b"x" * 48, b"x" * 60):
            offers.append((cut, 0))
        for change, count in offers:
            def welcome(hello, change=change, count=count):
                self.assertEqual(struct.unpack_from("<IHHII", hello), (rings.MAGIC, 1, 2, 0, 0))
                if change is None or isinstance(change, bytes):
                    return change or None, []
                w = {**good, **change}
                return rings._WELCOME.pack(w["magic"], w["version"], w["answer"], 0, w["epoch"], w["up"], w["down"], w["memory"], bytes(16)), \
                    [other.fd, event, event][:count]
            liar = Liar(self.path, welcome)
            before = len(os.listdir("/proc/self/fd"))
            transport = RingTransport(self.path)
            with self.subTest(change=change, fds=count):
                with self.assertRaises(OSError):
                    await transport.open(print)
                await asyncio.sleep(0)
                self.assertLessEqual(len(os.listdir("/proc/self/fd")), before + 1)  # the liar's end
            transport.close()
            liar.close()
            os.unlink(self.path)
        other.close()
        os.close(event)

    async def test_wake_that_is_none(self):
        """The third descriptor must be what it is said to be; nothing is left open otherwise."""
        other, event = Other(16384, 16384, version=2), os.eventfd(0)
        packet = rings._WELCOME.pack(rings.MAGIC, 2, 0, 0, 7, 16384, 16384, rings.PAGE + 32768, bytes(16)) + bytes(16)
        liar = Liar(self.path, lambda hello: (packet, [other.fd, event, event]))
        self.addCleanup(liar.close)
        transport, before = RingTransport(self.path), len(os.listdir("/proc/self/fd"))
        with self.assertRaises(OSError):
            await transport.open(print)
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), before + 1)  # the liar's end
        transport.close()
        other.close()
        os.close(event)

    def ring(self):
        other, event = Other(16384, 16384), os.eventfd(0)
        self.addCleanup(other.close)
        self.addCleanup(os.close, event)
        packet = rings._WELCOME.pack(rings.MAGIC, 1, 0, 0, 7, 16384, 16384, rings.PAGE + 32768, bytes(16))
        return other, event, packet

    async def test_broken(self):
        """A ring in which no record lies is let go and another one asked for; one that does not take anything is full, and no more."""
        made = []

        def welcome(hello):
            made.append(self.ring())
            other, event, packet = made[-1]
            return packet, [other.fd, event]

        liar = Liar(self.path, welcome)
        self.addCleanup(liar.close)
        node = Node(transport=RingTransport(self.path), timeout=0.02, attempts=2, position=(0, 0))
        async with node:
            for n in range(5):
                self.assertEqual(node.transport.attached, n + 1)
                made[-1][0].set(rings.PAGE + 16384, random.randrange(1, 1 << 64))
                liar.clients[-1].send(b"!")
                await eventually(lambda: node.transport.attached > n + 1 or None)
            told = await asyncio.gather(*(node.broadcast_presence(PresenceEntity()) for _ in range(100)), return_exceptions=True)
            self.assertEqual({type(t) for t in told}, {NoAnswer})
            self.assertGreater(node.traffic.unsent, 0)
            # The engine says that it took what was never there.
            made[-1][0].set(128, 1 << 40)
            with self.assertRaises(NoAnswer):
                await node.ping()
            await eventually(lambda: node.transport.attached == 7)
            # What it puts into a sound ring is as hostile as any datagram.
            other = made[-1][0]
            for size in (1, 79, 80, 1452):
                self.assertTrue(other.put(bytes(size)))
            liar.clients[-1].send(b"!")
            await eventually(lambda: node.traffic.malformed == 4)
            liar.clients[-1].close()
            await eventually(lambda: node.transport.attached == 8)

    async def test_sleeps(self):
        """Messages that come while the loop waits, one at a time: each is heard of when it is told."""
        other, event, packet = self.ring()
        liar = Liar(self.path, lambda hello: (packet, [other.fd, event]))
        self.addCleanup(liar.close)
        heard = []
        transport = RingTransport(self.path)
        await transport.open(heard.append)
        for n in range(200):
            self.assertTrue(other.put(str(n).encode()))
            if struct.unpack_from("<I", other.memory, 320)[0]:
                struct.pack_into("<I", other.memory, 320, 0)
                liar.clients[-1].send(b"!")
            if n % 3 == 0:
                await eventually(lambda: len(heard) == n + 1)
        await eventually(lambda: len(heard) == 200)
        self.assertEqual(heard, [str(n).encode() for n in range(200)])
        # And the engine is woken when it says that it sleeps.
        struct.pack_into("<I", other.memory, 192, 1)
        self.assertTrue(transport.send(b"up"))
        self.assertEqual((os.eventfd_read(event), other.take()), (1, b"up"))
        transport.close()
        with self.assertRaises(NodeClosed):
            transport.send(b"x")


@unittest.skipUnless(served(), "this engine has no ring sources")
class Real(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="presence-ring-")
        self.addCleanup(folder.cleanup)
        self.path = folder.name + "/presence.sock"
        self.yaml = YAML.replace("@path@", self.path)

    async def test_life(self):
        with Engine(self.yaml) as first:
            transport = RingTransport(self.path)
            async with Node(space=LOCAL, position=(0, 0), transport=transport, timeout=2.0) as node:
                crowd = [PresenceEntity(spatial_address=SpatialAddress((i % 50, i // 50, 0))) for i in range(2000)]
                told = await node.broadcast_all(crowd)
                self.assertEqual({type(t) for t in told}, {Acknowledgement})
                found = await node.query_presence(PresenceQuery(Box((0, 0, -1), (49, 39, 1))))
                self.assertEqual({e.entity_id for e in found}, {e.entity_id for e in crowd})
                self.assertGreater(transport._ring.tail, 1 << 17)
                seen, watch = [], node.watch(PresenceQuery(Sphere((1000, 0), 10)))
                watch.quiet_max = 0.5

                async def read():
                    async for e in watch:
                        seen.append((e.kind.name, e.entity_id))

                reader = asyncio.ensure_future(read())
                await eventually(lambda: ("SNAPSHOT_END", None) in seen)
                first.process.kill()
                first.process.wait()
                with Engine(self.yaml) as second:
                    await eventually(lambda: transport.attached == 2)
                    e = PresenceEntity(spatial_address=SpatialAddress((1000, 0, 0)))
                    await node.broadcast_presence(e)
                    await eventually(lambda: ("ENTER", e.entity_id) in seen, 30)
                    self.assertIn(("GAP", None), seen)
                    await watch.close()
                    await asyncio.wait_for(reader, 60)
                    second.stop()
                    with self.assertRaises(NoAnswer):
                        await node.ping()

    async def test_wakes(self):
        """This engine wakes by a descriptor, and writes nothing on the socket."""
        with Engine(self.yaml):
            transport = RingTransport(self.path)
            async with Node(space=LOCAL, position=(0, 0), transport=transport, timeout=20.0) as node:
                self.assertIsNotNone(transport._wake)
                self.assertIsNone(transport.known_as)
                for _ in range(50):
                    await node.ping()
                    with self.assertRaises(BlockingIOError):
                        transport._socket.recv(1)

    async def test_small(self):
        """The smallest rings: what does not fit waits, and is asked for again."""
        with Engine(self.yaml):
            async with Node(space=LOCAL, position=(0, 0), transport=RingTransport(self.path, ring_bytes=16384), timeout=2.0) as node:
                crowd = [PresenceEntity(spatial_address=SpatialAddress((i, 0, 0))) for i in range(500)]
                told = await node.broadcast_all(crowd)
                self.assertEqual({type(t) for t in told}, {Acknowledgement})
                for _ in range(100):
                    self.assertEqual(len(await node.query_presence(PresenceQuery(Sphere((0, 0), 99.5)))), 100)


if __name__ == "__main__":
    python_client.main("test_shared")

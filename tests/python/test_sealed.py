#!/usr/bin/env python3
"""The package through libpresence: sessions at both levels over UDP and shared memory, what goes wrong in them as exceptions, large answers that come packed,
an engine that is started again, and the structs as the C compiler sees them.

    tests/python/test_sealed.py PRESENCED PRESENCECTL PRESENCE_LOAD LIBPRESENCE
"""
import asyncio
import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
import uuid

import python_client
from python_client import Engine, eventually, free_port

from spatio_presence import *
from spatio_presence.errors import Unauthorized
from spatio_presence import library, wire

CTL, LIBRARY = sys.argv[2], sys.argv[4]
os.environ["PRESENCE_LIBRARY"] = LIBRARY
YAML = """
memory: {entities: 20000, socket_mem_mb: 32}
workers: {count: 1}
sources: [{socket: {address: 127.0.0.1, port: {port}, level: @demand@}}@ring@]
security: {keyring: @keyring@, sessions: 64, connects_per_second: 0}
"""
# One space that is open, one that asks for roles.
SPACES = """
spaces:
  - {id: 6c6f6361-6c00-4000-8000-000000000001, name: local, kind: cartesian, ttl_default_ms: 600000}
  - {id: 6c6f6361-6c00-4000-8000-000000000002, name: guarded, kind: cartesian, ttl_default_ms: 600000, authorization: first}
"""
GUARDED = Space(uuid.UUID("6c6f6361-6c00-4000-8000-000000000002"))
KEYRING = """
engine: {psk_file: shared.psk, keys: [{secret_file: engine.key}]}
principals:
  - {id: 00000000-0000-4000-8000-00000000000a, name: alice, keys: [{public_key: @alice@}], grants: [{allow: [publish, query, subscribe, admin]}]}
  - {id: 00000000-0000-4000-8000-00000000000b, name: bob, keys: [{public_key: @bob@}], grants: [{allow: [query]}]}
"""


class Keys:
    """A folder with a keyring and the keys of those whom it knows, and of one whom it does not."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="presence-keys-")
        self.path = pathlib.Path(self.folder.name)
        self.public = {name: self.keygen(f"{name}.key") for name in ("engine", "alice", "bob", "mallory")}
        self.keygen("shared.psk")
        (self.path / "keyring.yaml").write_text(KEYRING.replace("@alice@", self.public["alice"]).replace("@bob@", self.public["bob"]))

    def keygen(self, name):
        return subprocess.run([CTL, "keygen", str(self.path / name)], capture_output=True, text=True, timeout=60, check=True).stdout.strip()

    def engine(self, demand="sign", ring="", **more):
        return Engine(YAML.replace("@demand@", demand).replace("@ring@", ring).replace("@keyring@", str(self.path / "keyring.yaml")) + SPACES, **more)

    def of(self, name, **more):
        """What connect() takes to be somebody."""
        return {"key": self.path / f"{name}.key", "engine_key": self.public["engine"], "psk": self.path / "shared.psk", "open_timeout": 30.0,
                "timeout": 2.0, **more}


def at(engine):
    return f"udp://127.0.0.1:{engine.port}"


def settled(engine):
    counters, identity = engine.stop()
    assert engine.exit == 0, engine.log
    assert not any(value for (_, name), value in identity.items() if name == "difference"), engine.log
    return counters


class Sealed(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.keys = Keys()
        cls.addClassCleanup(cls.keys.folder.cleanup)

    async def asyncSetUp(self):
        self.faults = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.faults.append(context))

    async def asyncTearDown(self):
        self.assertEqual(self.faults, [])

    async def everything(self, node):
        """What a node does, in whatever session."""
        self.assertGreater(await node.ping(), 0)
        me = PresenceEntity(metadata={"draught": 7.5}, context=PresenceContext("sailing", ["ferry"]))
        sphere = PresenceQuery(Sphere(node.position, 50), resolution=QueryResolution(0.0, 0, 1.0))
        async with node.watch(sphere) as watch:
            self.assertIn((await node.broadcast_presence(me, ttl=600)).status, ("applied", "accepted"))
            async for event in watch:
                if event.kind is EventKind.ENTER:
                    self.assertEqual(event.entity_id, me.entity_id)
                    break
            found = await node.query_presence(sphere)
            self.assertEqual([(e.entity_id, e.details.metadata["draught"]) for e in found], [(me.entity_id, 7.5)])
            self.assertTrue((await node.explain_presence(me, sphere)).found)
            many = [PresenceEntity(spatial_address=SpatialAddress((node.position[0] + n / 100, 500.0))) for n in range(100)]
            self.assertLessEqual({a.status for a in await node.broadcast_all(many, ttl=600)}, {"applied", "accepted"})
            told = await node.erase_presence(me)
            self.assertEqual((told.status, told.entity_id), ("applied", me.entity_id))
            self.assertEqual(told.where & (ErasedPlace.RECORD | ErasedPlace.DETAILS | ErasedPlace.FENCES),
                             ErasedPlace.RECORD | ErasedPlace.DETAILS | ErasedPlace.FENCES)
            async for event in watch:
                if event.kind is EventKind.LEAVE:
                    break
        self.assertEqual(len(await node.query_presence(sphere)), 0)
        self.assertEqual((await node.erase_presence(me.entity_id)).where, ErasedPlace.TOMBSTONE)
        for entity in many:
            await node.withdraw_presence(entity)
        self.assertEqual(node.traffic.malformed, 0)

    async def test_everything(self):
        with self.keys.engine() as e:
            for n, level in enumerate(("sign", SessionLevel.ENCRYPT)):
                async with await connect(at(e), position=(1000.0 * n, 0.0), level=level, **self.keys.of("alice")) as node:
                    await self.everything(node)
                    counters = await node.counters()
                    self.assertGreater(counters["messages_opened"], 10)
            counters = settled(e)
            self.assertEqual((counters["sessions_opened"], counters.get("refused_seal", 0), counters.get("refused_session_replay", 0)), (2, 0, 0))

    async def test_shared_memory(self):
        """A session in a ring."""
        with tempfile.TemporaryDirectory(prefix="presence-ring-") as folder:
            path = folder + "/s"
            with self.keys.engine(ring=f", {{ring: {{path: {path}, trusted: true}}}}") as e:
                async with await connect(f"shm://{path}", position=(0.0, 0.0), level="encrypt", **self.keys.of("alice")) as node:
                    await self.everything(node)
                async with await connect(f"shm://{path}", position=(0.0, 0.0), pack=True, timeout=2.0) as node:
                    await self.everything(node)
                settled(e)

    async def test_who_may(self):
        with self.keys.engine() as e:
            async with await connect(at(e), space=GUARDED, position=(0.0, 0.0), **self.keys.of("alice")) as alice, \
                    await connect(at(e), space=GUARDED, position=(0.0, 0.0), **self.keys.of("bob")) as bob:
                boat = PresenceEntity()
                await alice.broadcast_presence(boat, ttl=600)
                self.assertEqual(len(await bob.query_presence(PresenceQuery(Sphere((0, 0), 5)))), 1)
                for refused in (bob.broadcast_presence(boat), bob.withdraw_presence(boat), bob.erase_presence(boat)):
                    with self.assertRaises(Unauthorized) as fault:
                        await refused
                    self.assertEqual(fault.exception.code, Code.UNAUTHORIZED)
                    self.assertIn(fault.exception.reason_name, ("role", "owner"))
                with self.assertRaises(Unauthorized):
                    await bob.watch(PresenceQuery(Sphere((0, 0), 5))).open()
            settled(e)

    async def test_no_session(self):
        """Silence in each case, and so one exception for all."""
        (self.keys.path / "other.psk").write_text("77" * 32 + "\n")
        (self.keys.path / "other.psk").chmod(0o600)
        with self.keys.engine(demand="encrypt") as e:
            for what in (dict(engine_key=self.keys.public["bob"]), dict(key=self.keys.path / "mallory.key"), dict(psk=None),
                         dict(psk=self.keys.path / "other.psk")):
                with self.assertRaises(NoSession) as fault:
                    await connect(at(e), **{**self.keys.of("alice"), "open_timeout": 0.5, **what})
                self.assertIn("opens no session", str(fault.exception))
                self.assertIsInstance(fault.exception, ConnectionError)
                self.assertEqual(fault.exception.code, Code.CONNECTION_FAILED)
            # Of a level that is too low, and without one at all: the engine says nothing.
            for node in (await connect(at(e), timeout=0.2, attempts=1),
                         await connect(at(e), level="sign", **{**self.keys.of("alice"), "timeout": 0.2}, attempts=1)):
                async with node:
                    with self.assertRaises(NoAnswer):
                        await node.ping()
            async with await connect(at(e), level="encrypt", **self.keys.of("alice")) as node:
                self.assertGreater(await node.ping(), 0)
            settled(e)
        with self.assertRaises(NoSession):
            await connect(f"udp://127.0.0.1:{free_port()}", **{**self.keys.of("alice"), "open_timeout": 0.3})

    async def test_wrong_words(self):
        alice = self.keys.of("alice")
        shown = self.keys.path / "shown.key"
        shutil.copy(self.keys.path / "alice.key", shown)
        shown.chmod(0o644)
        (self.keys.path / "broken.key").write_text("beef\n")
        (self.keys.path / "broken.key").chmod(0o600)
        for what, word in ((dict(key=shown), "chmod 600"), (dict(key=self.keys.path / "none.key"), "none.key"),
                           (dict(key=self.keys.path / "broken.key"), "broken.key"), (dict(engine_key="beef"), "64 hexadecimal"),
                           (dict(engine_key=bytes(32)), "no public key"), (dict(engine_key=None), "both keys"), (dict(key=None), "both keys"),
                           (dict(level="secret"), "sign or encrypt"), (dict(level=3), "sign or encrypt"), (dict(open_timeout=0), "timeout"),
                           (dict(key=None, engine_key=None), "pre-shared")):
            with self.subTest(word), self.assertRaisesRegex(ValueError, word):
                await connect("udp://127.0.0.1:1", **{**alice, "open_timeout": 0.3, **what})
        for uri in ("", "udp:127.0.0.1", "udp://", "udp://:1", "udp://::1", "udp://[::1", "udp://[::1]x", "udp://h:", "udp://h:0", "udp://h:65536", "udp://h:x",
                    "udp://h/", "udp://h ", "udp://h@g", "shm://", "shm:///", "shm://a", "http://h"):
            with self.subTest(uri), self.assertRaises(ValueError):
                await connect(uri)
            with self.subTest(uri), self.assertRaises(ValueError):  # and libpresence thinks so too
                await LibraryTransport(uri).open(print)
        with self.assertRaisesRegex(OSError, "PRESENCE_LIBRARY"):
            await connect("udp://127.0.0.1:1", library="/no/such/libpresence.so", **alice)
        with self.assertRaisesRegex(OSError, "presence_"):
            await connect("udp://127.0.0.1:1", library="libc.so.6", **alice)
        with self.assertRaises(OSError):
            await connect("udp://no.such.host.invalid", **alice)
        with self.assertRaises(OSError):
            await connect("shm:///no/such/socket", **alice)

    async def test_cancelled(self):
        """Who stops waiting for a session leaves nothing open."""
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            waiting = asyncio.ensure_future(connect(f"udp://127.0.0.1:{free_port()}", **{**self.keys.of("alice"), "open_timeout": 5.0}))
            await asyncio.sleep(0.1)
            waiting.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await waiting
        await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)
        with self.keys.engine() as e:
            before = len(os.listdir("/proc/self/fd"))
            for n in range(8):
                waiting = asyncio.ensure_future(connect(at(e), **self.keys.of("alice")))
                await asyncio.sleep(0.002 * n)
                waiting.cancel()
                try:
                    await (await waiting).close()
                except asyncio.CancelledError:
                    pass
            await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before, 60)
            async with await connect(at(e), **self.keys.of("alice")) as node:
                self.assertGreater(await node.ping(), 0)
            with self.assertRaises(NodeClosed):
                await node.ping()
            await node.close()

    async def test_restart(self):
        """An engine that is started again knows no session: another one is opened, and the watch subscribes anew."""
        port = free_port()
        with self.keys.engine(port=port) as e:
            node = await connect(at(e), position=(0.0, 0.0), level="encrypt", **self.keys.of("alice", timeout=0.5))
            watch = node.watch(PresenceQuery(Sphere((0, 0), 50)))
            await watch.open()
            boat = PresenceEntity()
            await node.broadcast_presence(boat, ttl=600)
            e.stop(by=signal.SIGKILL)
        with self.assertRaises(NoAnswer):
            await node.ping()
        with self.keys.engine(port=port) as e:
            async def answered():
                try:
                    return (await node.broadcast_presence(boat, ttl=600)).status == "applied"
                except NoAnswer:
                    return False
            await eventually(answered, 60)
            events = []

            async def follow():
                async for event in watch:
                    events.append(event.kind)
            reading = asyncio.ensure_future(follow())
            await eventually(lambda: EventKind.GAP in events and EventKind.ENTER in events[events.index(EventKind.GAP):], 60)
            await node.close()
            await asyncio.wait((reading,), timeout=60)
            settled(e)

    async def test_packed(self):
        """Large answers come packed, sealed or not, and are the same as plain ones; over the package's own sockets nobody asks for them."""
        with self.keys.engine(demand="none") as e:
            async with await connect(at(e), position=(0.0, 0.0), **self.keys.of("alice", timeout=10.0)) as node:
                crowd = [PresenceEntity(entity_id=numbered("crowd", n), spatial_address=SpatialAddress((n % 50, n // 50, 1.5), velocity=(n % 7, 0.0, 0.0)))
                         for n in range(3000)]
                for at_once in range(0, len(crowd), 500):
                    for told in await node.broadcast_all(crowd[at_once:at_once + 500], ttl=600):
                        self.assertEqual(told.status, "applied")
            everyone = PresenceQuery(Sphere((0.0, 0.0), 500))
            places = PresenceQuery(Sphere((0.0, 0.0), 500), resolution=QueryResolution(0.0, 0, 0.0))
            cells = PresenceQuery(Sphere((0.0, 0.0), 500), resolution=QueryResolution(8.0))

            def row(found):
                return [(x.entity_id, x.position, x.distance, x.velocity, x.precision, x.state) for x in found]

            results = {}
            for name, how in (("plain", {}), ("packed", dict(pack=True)), ("sealed", self.keys.of("alice", level="encrypt")),
                              ("packed and signed", self.keys.of("alice", pack=True)), ("packed and encrypted", self.keys.of("alice", level="encrypt", pack=True))):
                async with await connect(at(e), **{**how, "timeout": 10.0}) as node:
                    before = await node.counters()
                    whole = PresenceQuery(everyone.spatial_bounds, resolution=QueryResolution(0.0, 0, 0.5))
                    told = [row((await node.query_presence(q))) for q in (whole, places)]
                    told.append([(c.centre, c.count) for c in (await node.query_presence(cells)).cells])
                    after = await node.counters()
                    self.assertEqual(node.traffic.malformed, 0)
                results[name] = told
                packed, sent = (after[c] - before[c] for c in ("tx_packed", "tx_packets"))
                print(name, "packed", packed, "of", sent, flush=True)
                self.assertEqual(packed > 0, "packed" in name)
                self.assertEqual([len(t) for t in told][:2], [3000, 3000])
                self.assertEqual(told, results["plain"], name)
            settled(e)


class Liar(asyncio.DatagramProtocol):
    """Listens like an engine, and says what answer(header, data) gives, a list of datagrams."""

    def __init__(self, answer):
        self.answer, self.asked = answer, 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.asked += 1
        for told in self.answer(wire.HEADER.unpack_from(data.ljust(80, b"\0")), data):
            self.transport.sendto(told, address)


class Hostile(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.faults = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.faults.append(context))
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", end=" ", flush=True)
        self.rng = random.Random(seed)
        self.vectors = json.loads((python_client.ROOT / "tests" / "vectors" / "packed.json").read_text())["vectors"]

    async def asyncTearDown(self):
        self.assertEqual(self.faults, [])

    async def lie(self, answer):
        transport, liar = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Liar(answer), local_addr=("127.0.0.1", 0))
        self.addCleanup(transport.close)
        return liar, f"udp://127.0.0.1:{transport.get_extra_info('sockname')[1]}"

    @staticmethod
    def to(header, vector, *, last=False):
        """A packed answer as one to that request, the only part if it is the last."""
        data = bytearray.fromhex(vector["bytes"]).ljust(104, b"\0")
        struct.pack_into("<I", data, 4, header[3])
        struct.pack_into("<QI", data, 88, header[4], header[3])
        if last:
            struct.pack_into("<H", data, 86, struct.unpack_from("<H", data, 86)[0] | 1)
            struct.pack_into("<H", data, 100, 0)
        return bytes(data)

    async def test_packed(self):
        """What does not unpack is counted, and no part of an answer; what does is one, by either method."""
        broken = [v for v in self.vectors if v["reason"] != "none"]
        sound = {v["name"]: v for v in self.vectors if v["reason"] == "none"}
        chosen, flags = "packed-whole", []

        def answer(header, data):
            flags.append(header[2])
            told = [self.to(header, v) for v in broken]
            for _ in range(20):
                noise = bytearray(self.to(header, sound[chosen]))
                for _ in range(3):
                    noise[self.rng.randrange(128, len(noise))] ^= 1 << self.rng.randrange(8)
                told.append(bytes(noise[:self.rng.randrange(1, len(noise))]))
            return told + [self.to(header, sound[chosen], last=True)]

        liar, uri = await self.lie(answer)
        whole = PresenceQuery(Sphere((0, 0), 5), resolution=QueryResolution(0.0, 0, 0.5))
        brief = PresenceQuery(Sphere((0, 0), 5), resolution=QueryResolution(0.0, 0, 0.0))
        cells = PresenceQuery(Sphere((0, 0), 5), resolution=QueryResolution(8.0, 0, 0.5))
        async with await connect(uri, pack=True, timeout=5.0) as node:
            for chosen, query in (("packed-whole", whole), ("packed-zstd-whole", whole), ("packed-short", brief), ("packed-zstd-short", brief),
                                  ("packed-cells", cells), ("packed-zstd-cells", cells)):
                found = await node.query_presence(query)
                size = 64 if query is whole else 40 if query is brief else 48
                ids = (len(sound[chosen]["plain"]) // 2 - 128) // size
                self.assertEqual(len(found.cells) or len(found), min(ids, 63) if query is brief else ids, chosen)
            self.assertEqual(node.traffic.malformed, 0)  # those it never sees
        self.assertEqual(set(flags), {4 | 8})
        # Who did not ask for packed ones takes none.
        async with await connect(uri, timeout=0.2, attempts=2) as node:
            with self.assertRaises(NoAnswer):
                await node.query_presence(whole)
            await eventually(lambda: node.traffic.malformed > 60)

    async def test_handshakes(self):
        """Noise in the place of a handshake, in floods too: no session, in its time, and nothing else."""
        keys = Keys()
        self.addCleanup(keys.folder.cleanup)
        step = [0]

        def answer(header, data):
            step[0] += 1
            told = []
            for _ in range(50):
                noise = bytearray(self.rng.randbytes(self.rng.choice((0, 1, 80, 112, 128, 192, 208, 1452, 1453, self.rng.randrange(1500)))))
                if len(noise) > 104:
                    noise[:80] = wire.HEADER.pack(1, 1, 0, header[3], header[4], 0, 0, 1, 0, 0, bytes(16), 0, bytes(16))
                    noise[80] = 1 + step[0] % 2
                    struct.pack_into("<Q", noise, 88, header[4])
                told.append(bytes(noise))
            return told + [data]

        liar, uri = await self.lie(answer)
        with self.assertRaises(NoSession):
            await connect(uri, **{**keys.of("alice"), "open_timeout": 1.5})
        self.assertTrue(0 < liar.asked < 100, liar.asked)


class Structs(unittest.TestCase):
    def test_layouts(self):
        """As the C compiler lays them out."""
        compiler = shutil.which("cc")
        if not compiler:
            self.skipTest("no C compiler")
        lines, expected = [], []
        for name, kind in (("presence_session", library.SessionOptions), ("presence_options", library.Options)):
            lines.append(f'printf("%zu\\n", sizeof(struct {name}));')
            expected.append(ctypes.sizeof(kind))
            for field, *_ in kind._fields_:
                lines.append(f'printf("%zu %zu\\n", offsetof(struct {name}, {field}), sizeof((struct {name} *)0)->{field});'.replace(
                    f"sizeof((struct {name} *)0)->{field}", f"sizeof ((struct {name} *)0)->{field}"))
                expected += [getattr(kind, field).offset, getattr(kind, field).size]
        constants = {"PRESENCE_TIMED_OUT": library._TIMED_OUT, "PRESENCE_BAD_ARGUMENT": library._BAD_ARGUMENT, "PRESENCE_SYSTEM": library._SYSTEM,
                     "PRESENCE_OK": library._OK, "PRESENCE_MEMORY": library._MEMORY, "PRESENCE_UNPACKED_BYTES_MAX": wire.UNPACKED_MAX,
                     "PRESENCE_SIGN": SessionLevel.SIGN, "PRESENCE_ENCRYPT": SessionLevel.ENCRYPT, "PRESENCE_ERASED_QUARANTINE": ErasedPlace.QUARANTINE,
                     "PRESENCE_ERASED_FRAMES": ErasedPlace.FRAMES, "PRESENCE_MESSAGE_TURN_MS": round(library.TURN_S * 1000)}
        for name, value in constants.items():
            lines.append(f'printf("%d\\n", (int){name});')
            expected.append(int(value))
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "layout.c"
            source.write_text('#include "client/message.h"\n#include <stddef.h>\n#include <stdio.h>\nint main(void)\n{\n' + "\n".join(lines) +
                              "\nreturn 0;\n}\n")
            subprocess.run([compiler, "-I", str(python_client.ROOT), "-o", folder + "/layout", str(source)], check=True, timeout=120)
            said = subprocess.run([folder + "/layout"], capture_output=True, text=True, check=True, timeout=60).stdout.split()
        self.assertEqual(list(map(int, said)), expected)


if __name__ == "__main__":
    if not hasattr(ctypes.CDLL(LIBRARY), "presence_message_poll"):
        python_client.skip("no libpresence that carries messages")
    python_client.main("test_sealed")

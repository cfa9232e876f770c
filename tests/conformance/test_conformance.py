#!/usr/bin/env python3
"""One list of cases (cases.py) by each client over each source: the package spatio_presence, libpresence itself and presencectl, over the UDP socket source,
over a DPDK port behind a veth pair, over shared-memory rings, or sealed, in sessions that encrypt over the UDP socket source; then, over the first two, what no
client can say, byte by byte.

    tests/conformance/test_conformance.py socket|veth|ring|sealed PRESENCED PRESENCECTL DRIVER_LIBRARY LIBPRESENCE
"""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = sys.argv[1] if len(sys.argv) > 1 else "socket"
sys.argv[1:] = sys.argv[2:]
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "tests" / "conformance"), str(ROOT / "client" / "python")]

import cases  # noqa: E402
import driver  # noqa: E402
import presence_client as pc  # noqa: E402
import test_veth  # noqa: E402
from driver_ctl import CtlDriver  # noqa: E402
from driver_library import LibraryDriver  # noqa: E402
from driver_python import PythonDriver  # noqa: E402
from engine_process import Engine, free_port, run, skip  # noqa: E402
from spatio_presence import LibraryTransport, Node, RingTransport, UdpTransport, replies, wire  # noqa: E402

CTL = sys.argv[2] if len(sys.argv) > 2 else ""
LIBRARY = sys.argv[3] if len(sys.argv) > 3 else ""
SHARED = sys.argv[4] if len(sys.argv) > 4 else ""
SOCKET = "sources: [{socket: {address: 127.0.0.1, port: {port}}}]\nworkers: {count: @workers@}\n"
PORT = """
workers: {count: @workers@}
memory: {entities: 2000, socket_mem_mb: 64}
admitted: [192.0.2.0/25, "2001:db8::/64"]
trusted: [192.0.2.2/32, "2001:db8::/64"]
sources:
  - ethdev: {device: "net_af_packet0,iface=@iface@,qdisc_bypass=1", addresses: [192.0.2.1/24, "2001:db8::1/64"]}
"""
RING = "sources: [{ring: {path: \"@path@\", trusted: @trusted@}}]\nworkers: {count: @workers@}\n"
SEALED = """
sources: [{socket: {address: 127.0.0.1, port: {port}, level: encrypt}}]
workers: {count: @workers@}
security: {keyring: @folder@/keyring.yaml, sessions: 64, connects_per_second: 0}
"""
KEYRING = """
engine: {keys: [{secret_file: engine.key}]}
principals:
  - {id: 00000000-0000-4000-8000-00000000000a, keys: [{public_key: @key@}], grants: [{allow: [publish, query, subscribe, admin]}]}
"""
VIEWS = f"""
views:
  policies:
    - {{name: counted, space: local, id_prefix: {cases.Policies.COUNTED:x}, everyone: true, counts_below: {cases.Policies.BELOW}, counts_cell_m: {cases.Policies.CELL}}}
    - {{name: scattered, space: local, id_prefix: {cases.Policies.SCATTERED:x}, everyone: true, method: {{name: scatter, first: {cases.Policies.PUBLISHED}, second: 1}}}}
"""
STRANGERS = "trusted: [203.0.113.1/32]\n"


def run_tool(*words):
    return subprocess.run([CTL, *words], capture_output=True, text=True, timeout=60, check=True).stdout


class Place:
    """An engine behind a source, and where clients find it."""

    def __init__(self, stack, workers, strangers, views=""):
        if SOURCE == "veth":
            pair = stack.enter_context(test_veth.Pair())
            yaml = PORT.replace("@iface@", pair.port)
            if strangers:
                yaml = "".join(line + "\n" for line in yaml.split("\n") if not line.startswith("trusted")) + STRANGERS
            self.engine = stack.enter_context(Engine(yaml.replace("@workers@", str(workers)) + views, port=10202, netns=pair.engine))
            self.hosts, self.port, self.inside = ("192.0.2.1", "2001:db8::1"), 10202, pair.inside
            self.prefix = ["ip", "netns", "exec", pair.host]
        elif SOURCE == "ring":
            path = stack.enter_context(tempfile.TemporaryDirectory(prefix="presence-ring-")) + "/presence.sock"
            yaml = RING.replace("@path@", path).replace("@trusted@", "false" if strangers else "true")
            self.engine = stack.enter_context(Engine(yaml.replace("@workers@", str(workers)) + views))
            self.hosts, self.port, self.prefix = (path, path), 0, []
        elif SOURCE == "sealed":
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="presence-keys-")))
            self.key, (self.engine_key, public) = folder / "own.key", (
                run_tool("keygen", str(folder / name)).strip() for name in ("engine.key", "own.key"))
            (folder / "keyring.yaml").write_text(KEYRING.replace("@key@", public))
            yaml = SEALED.replace("@folder@", str(folder)) + (STRANGERS if strangers else "")
            self.engine = stack.enter_context(Engine(yaml.replace("@workers@", str(workers)) + views, port=free_port()))
            self.hosts, self.port, self.prefix = ("127.0.0.1",) * 2, self.engine.port, []
        else:
            yaml = SOCKET + (STRANGERS if strangers else "")
            self.engine = stack.enter_context(Engine(yaml.replace("@workers@", str(workers)) + views, port=free_port()))
            self.hosts, self.port, self.prefix = ("127.0.0.1",) * 2, self.engine.port, []
            self.inside = lambda call: call()

    def connected(self, host):
        """A socket that speaks with the engine."""
        def make():
            s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
            s.connect((host, self.port))
            s.setblocking(False)
            return s
        return self.inside(make)

    def python(self, host):
        if SOURCE == "ring":
            return PythonDriver(lambda space: Node(space=space, timeout=20.0, transport=RingTransport(host)))
        if SOURCE == "sealed":
            return PythonDriver(lambda space: Node(space=space, timeout=20.0, transport=LibraryTransport(
                f"udp://{host}:{self.port}", key=self.key, engine_key=self.engine_key, level="encrypt", timeout=30.0, library=SHARED)))
        return PythonDriver(lambda space: Node(space=space, timeout=20.0, transport=UdpTransport(sock=self.connected(host))))

    def library(self, host):
        host = f"[{host}]" if ":" in host else host
        keys = [str(self.key), self.engine_key] if SOURCE == "sealed" else []
        return LibraryDriver(LIBRARY, f"shm://{host}" if SOURCE == "ring" else f"udp://{host}:{self.port}", self.prefix, keys)

    def ctl(self, host):
        where = ["--uri", f"shm://{host}"] if SOURCE == "ring" else ["-H", host, "-p", str(self.port)]
        if SOURCE == "sealed":
            where += ["--key", str(self.key), "--engine-key", self.engine_key, "--level", "encrypt"]
        made = CtlDriver(CTL, where, self.prefix)
        made.lacks = frozenset({"nearest_watch"})  # its command line has no such words
        return made


class Suite(cases.Case):
    """A client over a source. `make(place)` gives the driver."""

    make = staticmethod(lambda place: None)
    workers, strangers, several, views = 1, False, False, ""

    @classmethod
    def setUpClass(cls):
        with contextlib.ExitStack() as stack:
            cls.place = Place(stack, cls.workers, cls.strangers, cls.views)
            cls.d = cls.make(cls.place)
            stack.callback(cls.d.close)
            cls.stack = stack.pop_all()
        cls.serial, cls.used = [0], set()

    @classmethod
    def tearDownClass(cls):
        with cls.stack:
            counters, identity = cls.place.engine.stop()
            assert cls.place.engine.exit == 0, cls.place.engine.log
            wrong = {k: v for k, v in identity.items() if k[1] == "difference" and v}
            assert not wrong, (wrong, cls.place.engine.log)


def suite(name, make, *mixins, **fields):
    return type(name, (*mixins, Suite, unittest.TestCase), {"make": staticmethod(make), **fields})


@unittest.skipIf(SOURCE == "sealed", "who has a session is no stranger")
class Strangers:
    """A source that is not trusted gets no more than it sent, and by pages all the same."""

    def test_pages(self):
        for n in range(12):
            self.put(n, (n, 0))
        self.assertEqual(len(self.found(("sphere", self.at(0), 50), brief=True)), 12)
        found = self.d.query(("sphere", self.at(0), 50), limit=1)
        self.assertEqual((len(found.rows), found.truncated), (1, True))
        self.assertEqual(self.d.withdraw(self.id(3)).status, "applied")
        self.used.discard(3)
        self.assertEqual(self.names(("sphere", self.at(0), 50), brief=True), "01245678910" + "11")
        told = self.d.explain(self.id(3), ("sphere", self.at(0), 50))
        self.assertEqual(told.first, "UNKNOWN")  # that it is gone is for the trusted

    def test_refusals(self):
        self.assertEqual(self.d.publish(self.id(1), self.at(0), precision=5000.0), driver.Told("refused", "precision"))
        self.assertEqual(self.d.query(("box", self.at(1), self.at(0))).reason, "query_coordinates")


Python = suite("Python", lambda place: place.python(place.hosts[0]), *cases.ALL)
LibPresence = suite("LibPresence", lambda place: place.library(place.hosts[1]), *cases.ALL)
PresenceCtl = suite("PresenceCtl", lambda place: place.ctl(place.hosts[1]), *cases.ALL)
LibPresenceWorkers = suite("LibPresenceWorkers", lambda place: place.library(place.hosts[0]), *cases.ALL, workers=3, several=True)
PythonWorkers = suite("PythonWorkers", lambda place: place.python(place.hosts[1]), *cases.ALL, workers=3, several=True)
PythonPolicies = suite("PythonPolicies", lambda place: place.python(place.hosts[0]), cases.Policies, views=VIEWS)
LibPresencePolicies = suite("LibPresencePolicies", lambda place: place.library(place.hosts[1]), cases.Policies, views=VIEWS, workers=2, several=True)
PresenceCtlPolicies = suite("PresenceCtlPolicies", lambda place: place.ctl(place.hosts[1]), cases.Policies, views=VIEWS)
PythonStranger = suite("PythonStranger", lambda place: place.python(place.hosts[0]), Strangers, strangers=True)
LibPresenceStranger = suite("LibPresenceStranger", lambda place: place.library(place.hosts[1]), Strangers, strangers=True)
PresenceCtlStranger = suite("PresenceCtlStranger", lambda place: place.ctl(place.hosts[1]), Strangers, strangers=True)


def vectors(name):
    return [v for v in json.loads((ROOT / "tests" / "vectors" / f"{name}.json").read_text())["vectors"] if v["side"] == "engine"]


@unittest.skipIf(SOURCE in ("ring", "sealed"), "datagrams in the clear are what it sends")
class Malformed(unittest.TestCase):
    """Datagrams that no client sends: each is refused for its reason, told or not, and counted once."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.place = Place(self.stack, 1, False)
        self.d = self.place.python(self.place.hosts[0])
        self.stack.callback(self.d.close)
        self.socket = self.place.connected(self.place.hosts[0])
        self.stack.callback(self.socket.close)

    def told(self, data, wait=60.0):
        """What a datagram is answered with: the pong of a ping behind it, and of one behind that, which is of a later turn, come after it."""
        self.socket.settimeout(wait)
        self.socket.send(data)
        self.sent += 1
        answers = []
        for _ in range(2):
            mark = os.urandom(16)
            self.socket.send(pc.HEADER.pack(1, pc.PING, 0, 7, 1, 0, 0, 1, 0, 0, bytes(16), 0, bytes(16)) + mark)
            while True:
                answer = self.socket.recv(65535)
                if answer[1:2] == bytes([pc.PONG]) and answer[80:] == mark:
                    break
                answers.append(answer)
        return answers

    def test_messages(self):
        names = {name: number for name, number in pc.REASONS.items()}
        before, expected, self.sent = self.d.counters(), {}, 0
        for v in vectors("malformed"):
            with self.subTest(v["name"]):
                self.sent = 0
                answers = self.told(bytes.fromhex(v["bytes"]))
                # What is longer than any message is refused before it is looked at.
                reason = "length" if len(v["bytes"]) > 2 * wire.BYTES_MAX else v["reason"]
                expected[reason] = expected.get(reason, 0) + self.sent
                for answer in answers:
                    reply = replies.decode(answer)
                    of = reply.answers[0] if isinstance(reply, replies.Response) else reply
                    self.assertEqual(of.reason, names[reason], reply)
        after = self.d.counters()
        self.assertGreater(sum(expected.values()), 200)
        for reason, count in expected.items():
            self.assertEqual(after[f"refused_{reason}"] - before[f"refused_{reason}"], count, reason)

    def test_records(self):
        """Sound messages with one broken record or query."""
        spaces, count = {"geodetic": pc.WORLD, "cartesian": pc.LOCAL}, 0
        for v in vectors("records"):
            data = bytearray.fromhex(v["bytes"])
            if v["record_reasons"] == ["none"] or data[1] not in (wire.UPDATE, wire.WITHDRAW, wire.DETAILED, wire.QUERY):
                continue
            with self.subTest(v["name"]):
                data[40:56] = spaces[v["space"]]
                struct.pack_into("<Q", data, 16, int(time.time() * 1000))
                if data[1] != wire.QUERY:
                    struct.pack_into("<H", data, 2, wire.FLAG_ACK)
                self.sent = 0
                reply = replies.decode(self.told(bytes(data))[-1])
                of = reply.answers[0] if isinstance(reply, replies.Response) else reply.records[0]
                self.assertEqual(of.reason, pc.REASONS[v["record_reasons"][0]], reply)
                count += 1
        self.assertGreater(count, 40)

    def test_lengths(self):
        """0 bytes, one too many for any message, and noise of every length."""
        self.sent = 0
        for size in (0, 1, 79, 80, 1452, 1453):
            self.assertEqual(self.told(bytes(size)), [])
        self.assertTrue(self.d.ping())


if __name__ == "__main__":
    if SOURCE == "veth":
        if os.geteuid() != 0:
            skip("conformance over a DPDK port needs root for namespaces and packet sockets")
        for tool in ("ip", "ethtool"):
            if not shutil.which(tool):
                skip(f"conformance over a DPDK port needs {tool}")
    if SOURCE == "ring":
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
            config.write("sources: [{ring: {path: /tmp/presence.sock}}]\n")
            config.flush()
            if run("--config", config.name, "--check-config").returncode:
                skip("this engine has no ring sources")
    if not CTL or not LIBRARY:
        skip("presencectl or the driver in C was not built")
    unittest.main(argv=["test_conformance"] + sys.argv[5:], verbosity=2)

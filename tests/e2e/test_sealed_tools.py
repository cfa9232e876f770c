"""The tools and libpresence in sessions: keys made by presencectl keygen, everything that presencectl does under --key at both levels, a
watch, presence-load, an engine that is started again under a running watch, and what goes wrong in words."""
import json
import pathlib
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

from engine_process import PATIENCE, Engine, free_port

CTL, LOAD = sys.argv[2], sys.argv[3]
YAML = """
memory: {entities: 5000, socket_mem_mb: 32}
sources:
  - socket: {address: 127.0.0.1, port: {port}, level: sign}
security: {keyring: {keyring}, sessions: 64, connects_per_second: 0}
"""
KEYRING = """
engine: {psk_file: shared.psk, keys: [{secret_file: engine.key}]}
principals:
  - {id: {id}, name: tools, keys: [{public_key: {public}}], grants: [{allow: [publish, query, subscribe, admin]}]}
"""


class Translator:
    """As a NAT between one client and the engine: what it sends on leaves by a port that it may change its mind about."""

    def __init__(self, port):
        self.to, self.inner, self.outer, self.client = ("127.0.0.1", port), self.bound(), self.bound(), None
        self.port = self.inner.getsockname()[1]
        self.ending = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    @staticmethod
    def bound():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", 0))
        return s

    def run(self):
        while not self.ending:
            for s in select.select([self.inner, self.outer], [], [], 0.05)[0]:
                try:
                    data, at = s.recvfrom(2048)
                    if s is self.inner:
                        self.client = at
                        self.outer.sendto(data, self.to)
                    elif at == self.to and self.client:
                        self.inner.sendto(data, self.client)
                except OSError:
                    pass

    def change(self):
        """What comes to the old port goes nowhere; it stays taken, as for another's traffic."""
        self.old, self.outer = self.outer, self.bound()

    def close(self):
        self.ending = True
        self.thread.join(5)
        for s in (self.inner, self.outer, self.old):
            s.close()


class Tools(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="presence-tools-")
        self.path = pathlib.Path(self.folder.name)
        self.engine_key = self.keygen("engine.key")
        self.public = self.keygen("own.key")
        self.keygen("shared.psk")
        text = KEYRING.replace("{id}", str(uuid.uuid4())).replace("{public}", self.public)
        (self.path / "keyring.yaml").write_text(text)
        self.yaml = YAML.replace("{keyring}", str(self.path / "keyring.yaml"))

    def tearDown(self):
        self.folder.cleanup()

    def keygen(self, name):
        out = subprocess.run([CTL, "keygen", str(self.path / name)], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(out.returncode, 0, out.stderr)
        self.assertEqual((self.path / name).stat().st_mode & 0o777, 0o600)
        return out.stdout.strip()

    def session(self, level="sign", **other):
        given = {"--key": self.path / "own.key", "--engine-key": self.engine_key, "--psk": self.path / "shared.psk", "--level": level}
        given.update({"--" + k.replace("_", "-"): v for k, v in other.items()})
        return [str(x) for k, v in given.items() if v is not None for x in (k, v)]

    def ctl(self, port, *arguments, expect=0, session=None):
        out = subprocess.run([CTL, "--timeout", "20s", "--port", str(port), *(self.session() if session is None else session), *arguments],
                             capture_output=True, text=True, timeout=2 * PATIENCE)
        self.assertEqual(out.returncode, expect, f"{arguments}: {out.stdout}{out.stderr}")
        return out

    def settled(self, engine):
        counters, identity = engine.stop()
        self.assertEqual(engine.exit, 0, engine.log)
        for what in ("packets", "records", "queries", "subscribes"):
            self.assertEqual(identity[what, "difference"], 0, engine.log)
        return counters

    def test_keygen(self):
        again = subprocess.run([CTL, "keygen", str(self.path / "own.key")], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(again.returncode, 73, again)  # a key is never overwritten
        shown = subprocess.run([CTL, "keygen", "--public", str(self.path / "own.key")], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(shown.stdout.strip(), self.public)
        self.assertNotIn((self.path / "own.key").read_text().strip(), shown.stdout + shown.stderr)

    def test_everything(self):
        with Engine(self.yaml) as e:
            self.assertIn(self.engine_key, e.log)
            for i, level in enumerate(("sign", "encrypt")):
                s, x = self.session(level), f"{i * 100},0"
                self.ctl(e.port, "ping", session=s)
                self.ctl(e.port, "publish", f"t:{i + 1}", x, "--ttl", "600s", session=s)
                found = json.loads(self.ctl(e.port, "--json", "query", "sphere", x, "5", session=s).stdout)
                self.assertEqual(len(found["results"] if "results" in found else found["found"]), 1, found)
                self.ctl(e.port, "explain", f"t:{i + 1}", "sphere", x, "5", session=s)
                self.ctl(e.port, "stats", session=s)
                self.ctl(e.port, "withdraw", f"t:{i + 1}", session=s)
            # Without a session, with another engine's key, with a key that is in no keyring, without the pre-shared one.
            self.ctl(e.port, "--attempts", "1", "--timeout", "400ms", "ping", session=[], expect=69)
            self.keygen("other.key")
            fast = ["--attempts", "1", "--timeout", "400ms"]
            for wrong in (self.session(engine_key=self.public), self.session(key=self.path / "other.key"), self.session(psk=None)):
                out = self.ctl(e.port, *fast, "ping", session=wrong, expect=69)
                self.assertIn("opens no session", out.stderr)
            (self.path / "own.key").chmod(0o640)
            self.assertIn("chmod 600", self.ctl(e.port, "ping", expect=64).stderr)
            (self.path / "own.key").chmod(0o600)
            counters = self.settled(e)
            self.assertGreater(counters["messages_opened"], 10)
            self.assertGreater(counters["refused_unsealed"], 0)

    def test_watch_and_restart(self):
        port = free_port()
        with Engine(self.yaml, port=port) as e:
            watch = subprocess.Popen([CTL, "--port", str(port), *self.session("encrypt"), "watch", "--lease", "10s", "sphere", "0,0", "10"],
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertIn("SNAPSHOT_END", watch.stdout.readline())
            self.ctl(port, "publish", "t:1", "1,0", "--ttl", "600s")
            self.assertIn("ENTER", watch.stdout.readline())
            e.process.kill()
        # Nothing is known of its session any more: it opens another one, in which its subscription is not known.
        with Engine(self.yaml, port=port) as e:
            try:
                self.assertEqual(watch.wait(timeout=2 * PATIENCE), 69)
            finally:
                watch.kill()
            self.assertIn("unknown", watch.stdout.read())
            watch.stdout.close()
            counters = self.settled(e)
            self.assertGreater(counters["refused_session"], 0)
            self.assertEqual(counters["sessions_opened"], 1)

    def test_watch_behind_a_nat(self):
        """Its address changes while it only listens: with the renewal of its lease it learns so, shows that it is there, and goes on in the same session."""
        with Engine(self.yaml) as e:
            nat = Translator(e.port)
            watch = subprocess.Popen([CTL, "--port", str(nat.port), *self.session("encrypt"), "watch", "--lease", "12s", "sphere", "0,0", "10"],
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            try:
                self.assertIn("SNAPSHOT_END", watch.stdout.readline())
                self.ctl(e.port, "publish", "t:1", "1,0", "--ttl", "600s")
                self.assertIn("ENTER", watch.stdout.readline())
                nat.change()
                self.ctl(e.port, "publish", "t:2", "2,0", "--ttl", "600s")
                self.assertTrue(select.select([watch.stdout], [], [], 2 * PATIENCE)[0])
                self.assertIn("ENTER", watch.stdout.readline())
                self.ctl(e.port, "publish", "t:3", "3,0", "--ttl", "600s")
                self.assertIn("ENTER", watch.stdout.readline())
                self.assertIsNone(watch.poll())
            finally:
                watch.terminate()
                watch.wait(timeout=PATIENCE)
                watch.stdout.close()
                nat.close()
            counters = self.settled(e)
            self.assertEqual(counters["sessions_opened"], 4)
            self.assertEqual(counters["subscriptions_opened"], 1)
            # Three for each session, and one that asks for the cookie at the new port.
            self.assertGreaterEqual(counters["carried_session"], 13)

    def test_load(self):
        with Engine(self.yaml) as e:
            out = subprocess.run([LOAD, "--port", str(e.port), *self.session("encrypt"), "--walkers", "500", "--rate", "5000", "--queries", "50",
                                  "--for", "3s", "--quiet"], capture_output=True, text=True, timeout=2 * PATIENCE)
            self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
            counters = self.settled(e)
            self.assertGreater(counters["records_applied"], 1000)
            self.assertEqual(counters.get("refused_session_replay", 0), 0)
            self.assertEqual(counters.get("refused_seal", 0), 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

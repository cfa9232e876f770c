"""Keyrings that are read again by a running engine, and are not what they should be: altered in random places, of other kinds of files,
far too long, changed again and again. Each is answered with one line; who has a session keeps it where the keyring was refused, and may come
again where it was taken."""
import os
import random
import signal
import time
import unittest

import presence_client as pc
import sealed_client as sc
from engine_process import PATIENCE, Engine, eventually

YAML = """
workers: {count: 1}
memory: {entities: 5000, socket_mem_mb: 32}
sources:
  - socket: {address: 127.0.0.1, port: {port}}
admitted: [127.0.0.1/32]
security: {keyring: {keyring}, level: sign, sessions: 64, connects_per_second: 1000, connects_burst: 1000}
"""
TAKEN = "the keyring was read again"
KEPT = "the keyring before stays in use: "
SEED = int(os.environ.get("PE_TEST_SEED", "0")) or time.time_ns() & 0x7FFFFFFF
MUTATIONS = 60
SIGNS = b"{}[]:,-&*!|>'\"%@`#? \n\t\0"
WORDS = [b"~", b"null", b".nan", b"!!binary ", b"<<: ", b"---\n", b"...\n", b"%YAML 9.9\n", b"&a ", b"*a ", b"-1", b"4294967296", b"1e308", b"9" * 40]


def mutated(rng, text):
    """The text with one to four faults in it."""
    data = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            data[at:at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del data[at:at + rng.randint(1, 30)]
        elif kind == 2:
            data[at:at] = bytes(rng.choice(SIGNS) for _ in range(rng.randint(1, 6)))
        elif kind == 3:
            other = rng.randrange(len(data) + 1)
            data[at:at] = data[other:other + rng.randint(1, 80)]
        else:
            data[at:at] = rng.choice(WORDS)
    return bytes(data)


class Reload(unittest.TestCase):
    def setUp(self):
        self.keys = sc.Keys(["ferries", "drones"], psk=True)
        self.good = self.keys.path.read_bytes()
        self.engine = Engine(YAML.replace("{keyring}", str(self.keys.path)))
        self.engine.__enter__()
        self.clients = []
        self.client = self.connected()
        self.descriptors = self.open_files()

    def tearDown(self):
        self.engine.__exit__()
        self.keys.close()

    def open_files(self):
        """How many the engine has. It holds secrets, so that only root may see."""
        return len(os.listdir(f"/proc/{self.engine.process.pid}/fd")) if os.geteuid() == 0 else None

    def connected(self):
        c = sc.Client("127.0.0.1", self.engine.port)
        c.connect(self.keys, "ferries")
        self.clients.append(c)
        return c

    def read_again(self):
        """What the engine says to a SIGHUP."""
        before = len(self.engine.lines)
        self.engine.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for line in self.engine.lines[before:]:
                if TAKEN in line or KEPT in line:
                    return line
            self.assertIsNone(self.engine.process.poll(), self.engine.log[-2000:])
            time.sleep(0.002)
        self.fail(f"no answer to a SIGHUP\n{self.engine.log[-2000:]}")

    def put(self, make):
        """Another file in the keyring's place."""
        path = self.keys.path
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        make(path)

    def refused(self, make, why):
        self.put(make)
        line = self.read_again()
        self.assertIn(KEPT, line)
        self.assertIn(why, line)
        self.assertTrue(self.client.ping())  # its session is as it was

    def settled(self):
        self.put(lambda p: p.write_bytes(self.good))
        self.assertIn(TAKEN, self.read_again())
        c = self.connected()
        row = c.updates([pc.update(pc.entity(1), (10.0, 5.0, 0.0), 1, 600000)])
        self.assertIn(row[0][0], (pc.APPLIED, pc.ACCEPTED))
        eventually(lambda: self.open_files() == self.descriptors, self.open_files)
        counters, identity = self.engine.stop()
        self.assertEqual(self.engine.exit, 0, self.engine.log[-2000:])
        for what in ("packets", "records", "queries", "subscribes"):
            self.assertEqual(identity[what, "difference"], 0)
        self.assertEqual(counters["rx_packets"], sum(c.sent for c in self.clients))

    def test_mutations(self):
        rng = random.Random(SEED)
        said = {TAKEN: 0, KEPT: 0}
        for n in range(MUTATIONS):
            data = mutated(rng, self.good)
            self.put(lambda p, data=data: p.write_bytes(data))
            with self.subTest(seed=SEED, n=n, data=data):
                line = self.read_again()
                if KEPT in line:
                    self.assertIn(self.keys.path.name, line)
                    self.assertTrue(self.client.ping())
                    said[KEPT] += 1
                    continue
                said[TAKEN] += 1
                # It may not know the client any more, but whoever is in the next one may come.
                self.put(lambda p: p.write_bytes(self.good))
                self.assertIn(TAKEN, self.read_again())
                self.client = self.connected()
                self.assertTrue(self.client.ping())
        self.assertGreater(said[KEPT], MUTATIONS // 2)
        self.settled()

    def test_other_files(self):
        deep = b"engine: " + b"[" * 100000
        many = self.good + b"".join(b"  - id: %032x\n" % n for n in range(20000))
        aliases = b"engine: &a [x, x]\n" + b"".join(b"k%d: &k%d [*%s, *%s]\n" % (n, n, *(2 * [b"k%d" % (n - 1) if n else b"a"])) for n in range(30))
        self.refused(lambda p: None, "No such file")
        self.refused(lambda p: p.mkdir(), "is no file")
        self.refused(lambda p: os.mkfifo(p), "is no file")
        self.refused(lambda p: os.symlink(p.name, p), "symbolic links")
        self.refused(lambda p: os.symlink("/dev/zero", p), self.keys.path.name)  # no such file within the sandbox, no file without one
        self.refused(lambda p: p.write_bytes(b""), "engine: is missing")
        self.refused(lambda p: p.write_bytes(b"#" + b"x" * (17 << 20)), "longer than 16 MiB")
        self.refused(lambda p: p.write_bytes(deep), self.keys.path.name)
        self.refused(lambda p: p.write_bytes(many), "too many entries")
        self.refused(lambda p: p.write_bytes(aliases), self.keys.path.name)
        self.refused(lambda p: (p.write_bytes(self.good), p.chmod(0o666)), "everybody may write it")
        self.settled()

    def test_secrets(self):
        secret = self.keys.path.parent / "engine-0.key"
        text = secret.read_bytes()
        for make, why in [(lambda: None, "No such file"), (lambda: secret.mkdir(), "is no file"), (lambda: os.mkfifo(secret, 0o600), "is no file"),
                          (lambda: (secret.write_bytes(text), secret.chmod(0o604)), "others may open it"),
                          (lambda: (secret.write_bytes(text[:-3]), secret.chmod(0o600)), "64 hexadecimal digits"),
                          (lambda: (secret.write_bytes(b"\0" * 4096), secret.chmod(0o600)), "64 hexadecimal digits")]:
            if secret.is_dir():
                secret.rmdir()
            else:
                secret.unlink(missing_ok=True)
            make()
            line = self.read_again()
            self.assertIn(KEPT, line)
            self.assertIn(why, line)
            self.assertNotIn(text.decode()[:16], line)
            self.assertTrue(self.client.ping())
        secret.write_bytes(text)
        secret.chmod(0o600)
        self.settled()

    def test_again_and_again(self):
        """Signals that come while one is being heard are one. What is read there is all of a keyring that knows the client, or none."""
        for n in range(300):
            self.put(lambda p, n=n: p.write_bytes(self.good if n % 3 else self.good[:n % 20]))
            self.engine.process.send_signal(signal.SIGHUP)
            if n % 50 == 0:
                self.assertTrue(self.client.ping())
        # Signals are heard in their order: when this one has been, all have.
        self.put(lambda p: p.write_bytes(b"engine: {last_of_all: 1}\n"))
        self.engine.process.send_signal(signal.SIGHUP)
        eventually(lambda: KEPT in self.engine.log and "last_of_all" in self.engine.log, lambda: self.engine.log[-2000:])
        self.assertTrue(self.client.ping())
        self.settled()


if __name__ == "__main__":
    print(f"PE_TEST_SEED={SEED}")
    unittest.main(argv=["test_reload"], verbosity=1)

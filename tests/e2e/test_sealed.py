"""Sessions against the running engine: an independent client opens one at SIGN and at ENCRYPT, publishes, queries and subscribes under it; and
what is repeated, altered, cut, sealed with another's key, of an epoch that is over, or of a session before a restart is refused, counted,
and changes nothing."""
import os
import signal
import struct
import subprocess
import sys
import unittest

from cryptography.exceptions import InvalidTag

import presence_client as pc
import presence_guard as pg
import sealed_client as sc
import watch_client as wc
from engine_process import BINARY, Engine, eventually, free_port, run

YAML = """
workers: {count: {workers}}
memory: {entities: 5000, socket_mem_mb: 32}
sources:
  - socket: {address: 127.0.0.1, port: {port}}
trusted: [127.0.0.1/32]
admitted: [127.0.0.1/32, 127.0.0.2/32]
security: {keyring: {keyring}, level: {level}, sessions: 64, connects_per_second: 200, connects_burst: 200}
"""


def yaml(keys, level="sign", workers=1):
    return YAML.replace("{keyring}", str(keys.path)).replace("{level}", level).replace("{workers}", str(workers))


class Sealed(unittest.TestCase):
    def setUp(self):
        self.keys = sc.Keys(["ferries", "drones"], psk=True)

    def tearDown(self):
        self.keys.close()

    def settled(self, engine, sent, received_counters=True):
        counters, identity = engine.stop()
        self.assertEqual(engine.exit, 0, engine.log)
        for what in ("packets", "records", "queries", "subscribes"):
            self.assertEqual(identity[what, "difference"], 0, engine.log)
        self.assertEqual(counters["rx_packets"], sent)
        return counters

    def use(self, c, n):
        """Publishes and finds an entity; the position tells what was meant."""
        row = c.updates([pc.update(pc.entity(n), (n * 10.0, 5.0, 0.0), 1, 600000)])
        self.assertIn(row[0][0], (pc.APPLIED, pc.ACCEPTED))
        box = pc.query(pc.BOX, (n * 10.0 - 1, 4.0, -1.0), (n * 10.0 + 1, 6.0, 1.0))
        if row[0][0] == pc.ACCEPTED:
            eventually(lambda: c.query(box)[0])
        found, truncated = c.query(box)
        self.assertEqual(list(found), [pc.entity(n)])
        self.assertFalse(truncated)
        self.assertTrue(c.ping())

    def test_levels(self):
        with Engine(yaml(self.keys)) as e:
            sent = 0
            for i, (level, name) in enumerate([(pg.SIGN, "ferries"), (pg.ENCRYPT, "drones")]):
                c = sc.Client("127.0.0.1", e.port)
                session = c.connect(self.keys, name, level)
                self.assertEqual(session.level, level)
                self.assertEqual(session.principal, self.keys.ids[name].bytes)
                self.assertGreaterEqual(session.window, 1024)
                self.use(c, i + 1)
                values = c.state()
                self.assertGreater(values["messages_opened"], 0)
                sent += c.sent
            counters = self.settled(e, sent)
            self.assertEqual(counters["sessions_opened"], 2)
            self.assertEqual(counters["carried_session"], 4)
            self.assertEqual(counters["messages_opened"], sent - 4)
            self.assertEqual(counters["tx_packets"], counters["messages_sealed"] + 4)

    def test_what_is_demanded(self):
        self.keys.write(["ferries", "drones"], drones="encrypt")
        with Engine(yaml(self.keys, "encrypt")) as e:
            sent = 0
            c = sc.Client("127.0.0.1", e.port)
            c.send(c.message(pc.PING, bytes(16)))  # trusted, and not sealed
            self.assertTrue(c.silent())
            c.connect(self.keys, "ferries", pg.SIGN)  # below what the source demands
            c.send(c.message(pc.PING, bytes(16)))
            self.assertTrue(c.silent())
            sent += c.sent
            c = sc.Client("127.0.0.1", e.port)
            self.assertEqual(c.connect(self.keys, "drones", pg.SIGN).level, pg.ENCRYPT)  # raised by the keyring
            self.assertTrue(c.ping())
            counters = self.settled(e, sent + c.sent)
            self.assertEqual(counters["refused_unsealed"], 1)
            self.assertEqual(counters["refused_seal_level"], 1)

    def test_none_is_for_trusted_sources(self):
        with Engine(yaml(self.keys, "none")) as e:
            c = sc.Client("127.0.0.1", e.port)
            self.assertTrue(c.ping())
            stranger = sc.Client("127.0.0.1", e.port, source=("127.0.0.2", 0))
            stranger.send(stranger.message(pc.PING, bytes(16)))
            self.assertTrue(stranger.silent())
            stranger.connect(self.keys, "ferries")
            self.use(stranger, 1)  # sealed, it is no stranger
            counters = self.settled(e, c.sent + stranger.sent)
            self.assertEqual(counters["refused_unsealed"], 1)

    def test_subscription(self):
        with Engine(yaml(self.keys)) as e:
            c, w = sc.Client("127.0.0.1", e.port), sc.Watcher(e.port)
            c.connect(self.keys, "ferries")
            w.connect(self.keys, "drones", pg.ENCRYPT)
            w.open(wc.sphere(1, (0.0, 0.0, 0.0), 50.0))
            self.assertEqual(c.updates([pc.update(pc.entity(1), (1.0, 0.0, 0.0), 1)])[0][0], pc.APPLIED)
            w.until(lambda: pc.entity(1) in w.inside(1))
            # The client moves to another port: notices follow once it has shown that it is there.
            w.move(e.port)
            w.prove(self.keys)
            self.assertEqual(c.updates([pc.update(pc.entity(2), (2.0, 0.0, 0.0), 1)])[0][0], pc.APPLIED)
            w.until(lambda: pc.entity(2) in w.inside(1))
            w.disconnect()
            eventually(lambda: c.state()["subscriptions_ended"] == 1, c.state)
            self.assertEqual(c.state()["subscriptions_opened"], 1)
            self.settled(e, c.sent + w.sent)

    def test_attacks(self):
        with Engine(yaml(self.keys)) as e:
            a, b = sc.Client("127.0.0.1", e.port), sc.Client("127.0.0.1", e.port)
            a.connect(self.keys, "ferries", pg.SIGN)
            b.connect(self.keys, "drones", pg.ENCRYPT)
            self.use(a, 1)
            self.use(b, 2)
            before = a.state()
            attacks = 0

            def silent(client, data):
                nonlocal attacks
                client.raw(data)
                attacks += 1
                self.assertTrue(client.silent(0.02))

            for client in (a, b):
                body = pc.UPDATE_PREAMBLE.pack(os.urandom(16), client.incarnation, 0) + pc.update(pc.entity(9 + (client is b)), (0, 0, 0), 7, 600000)
                good = client.sealed(client.message(pc.UPDATE, body, 1, pc.FLAG_ACK))
                client.raw(good)
                self.assertTrue(client.receive())  # taken once
                silent(client, good)  # and not twice
                fresh = client.sealed(client.message(pc.UPDATE, body, 1, pc.FLAG_ACK))
                for at in (0, 1, 2, 8, 15, 16, 24, 25, 31, 32, 63, 64, 79, 80, 100, len(fresh) - 1):
                    altered = bytearray(fresh)
                    altered[at] ^= 0x40
                    silent(client, bytes(altered))
                for cut in (1, 8, len(body) - 1):
                    silent(client, fresh[:-cut])
                # Another's key under this session's id, and the other way round.
                other = b if client is a else a
                mine, theirs = client.session.id, other.session.id
                other.session.id = mine
                silent(client, other.session.seal(other.message(pc.PING, bytes(16)), 2**40))
                other.session.id = theirs
                # Of an epoch that may not be begun yet, and one that never was.
                client.session.next_epoch()
                silent(client, client.session.seal(client.message(pc.PING, bytes(16)), 2**40))
                client.session.next_epoch()
                silent(client, client.session.seal(client.message(pc.PING, bytes(16)), 2**40))
                client.session.epoch = 0
                silent(client, fresh[:16] + struct.pack("<Q", 0) + fresh[24:])  # the epoch's field is not that of its bytes
            # Not in the session's name at all.
            silent(a, b"\1\3" + os.urandom(94))
            silent(a, os.urandom(200))
            c = sc.Client("127.0.0.1", e.port)
            with self.assertRaises(pc.Timeout):
                c.connect(self.keys, "ferries", secret=os.urandom(32), silence=0.2)  # a key that is in no keyring
            with self.assertRaises(InvalidTag):
                c.connect(self.keys, "ferries", psk=os.urandom(32))  # the welcome cannot be opened
            fresh = sc.Client("127.0.0.1", e.port)
            fresh.connect(self.keys, "ferries")
            after = fresh.state()
            changed = {n for n in after if after[n] != before[n]}
            allowed = {n for n in changed if n.startswith(("rx_", "tx_", "refused_", "carried_", "turns", "sessions_", "messages_", "status"))}
            # Two updates were taken: of one entity, by each client once.
            self.assertEqual(after["records_carried"] - before["records_carried"], 2)
            self.assertEqual(changed - allowed - {"records_carried", "records_applied", "records_coalesced", "created"}, set())
            refused = sum(after[n] - before[n] for n in after if n.startswith("refused_"))
            self.assertEqual(refused, attacks + 1)  # and the stranger's HELLO
            self.assertEqual(after["refused_session_replay"] - before["refused_session_replay"], 2)
            self.assertEqual(after["refused_connect_stranger"], 1)
            self.settled(e, a.sent + b.sent + c.sent + fresh.sent)

    def test_restart(self):
        port = free_port()
        c = sc.Client("127.0.0.1", port)
        with Engine(yaml(self.keys), port=port) as e:
            c.connect(self.keys, "ferries")
            self.use(c, 1)
            self.settled(e, c.sent)
        with Engine(yaml(self.keys), port=port) as e:
            sent = c.sent
            c.send(c.message(pc.PING, bytes(16)))
            self.assertTrue(c.silent())
            c.connect(self.keys, "ferries")
            self.assertTrue(c.ping())
            counters = self.settled(e, c.sent - sent)
            self.assertEqual(counters["refused_session"], 1)

    def test_reload(self):
        with Engine(yaml(self.keys)) as e:
            a, b = sc.Client("127.0.0.1", e.port), sc.Client("127.0.0.1", e.port)
            a.connect(self.keys, "ferries")
            b.connect(self.keys, "drones")
            # Another principal first: numbers stay. The new key of the engine beside the old one.
            self.keys.ids["trams"], self.keys.secrets["trams"] = self.keys.ids["ferries"].__class__(int=7 << 100), os.urandom(32)
            self.keys.engines.append(os.urandom(32))
            self.keys.secret_file("engine-1.key", self.keys.engines[1])
            self.keys.write(["trams", "drones"])
            e.process.send_signal(signal.SIGHUP)
            e.wait_line("the keyring was read again")
            self.assertTrue(b.ping())
            a.send(a.message(pc.PING, bytes(16)))
            self.assertTrue(a.silent())  # taken out: its session has ended
            c = sc.Client("127.0.0.1", e.port)
            c.connect(self.keys, "trams", engine=1)
            self.assertTrue(c.ping())
            # A mistake leaves what was there.
            self.keys.path.write_text("engine: {level: loud}\n")
            e.process.send_signal(signal.SIGHUP)
            e.wait_line("the keyring before stays in use: .*keyring.yaml:1")
            self.assertTrue(b.ping())
            self.settled(e, a.sent + b.sent + c.sent)

    def test_other_workers(self):
        """A session stays with its worker wherever its packets arrive after the client's address has changed."""
        with Engine(yaml(self.keys, workers=2)) as e:
            clients = [sc.Client("127.0.0.1", e.port) for _ in range(4)]
            for i, c in enumerate(clients):
                c.connect(self.keys, "ferries", pg.SIGN + i % 2)
                for n in range(6):
                    self.use(c, 10 * i + n)
                    c.move(e.port)
                    self.assertTrue(c.ping())
                    self.assertTrue(c.session.unproved)  # and is told so
                    self.assertTrue(c.prove(self.keys))
                    self.assertFalse(c.session.unproved)
            counters = self.settled(e, sum(c.sent for c in clients))
            self.assertEqual(counters["messages_opened"], counters["rx_packets"] - counters["carried_session"])

    def test_check_config(self):
        path = self.keys.path.parent / "presenced.yaml"
        path.write_text("security: {keyring: keyring.yaml}\n")  # from the configuration's folder
        self.assertEqual(run("--config", str(path), "--check-config").returncode, 0)
        (self.keys.path.parent / "engine-0.key").chmod(0o644)
        out = run("--config", str(path), "--check-config")
        self.assertEqual(out.returncode, 78, out)
        self.assertIn("keyring.yaml:5: engine.keys[0].secret_file", out.stderr)
        self.keys.path.unlink()
        self.assertEqual(run("--config", str(path), "--check-config").returncode, 66)
        path.write_text("security: {level: sign}\n")
        self.assertIn("security.level: needs a keyring", run("--config", str(path), "--check-config").stderr)
        path.write_text("sources:\n  - socket: {level: encrypt}\n")
        self.assertIn("its level needs security.keyring", run("--config", str(path), "--check-config").stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

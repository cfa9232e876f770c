"""The socket source, unprivileged: ping, publish, acknowledge, query, withdraw, every malformed header, and at the end the
client's own counts equal the engine's, to the packet."""
import os
import signal
import socket
import statistics
import subprocess
import time
import unittest

import presence_client as pc
from engine_process import BINARY, PATIENCE, Engine

YAML = """
memory: {entities: 5000, socket_mem_mb: 32}
sources:
  - socket: {address: 127.0.0.1, port: {port}}
  - socket: {address: "::1", port: {port}}
trusted: [127.0.0.1/32, "::1"]
admitted: [127.0.0.1/32, 127.0.0.2/32, "::1"]
"""
NOBODY = 65534


def unprivileged():
    """nobody, when we are root and nobody can run the binary; else whoever we are."""
    if os.geteuid() != 0:
        return None
    able = subprocess.run(["test", "-x", BINARY], user=NOBODY, group=NOBODY, extra_groups=[], check=False)
    return NOBODY if able.returncode == 0 else None


class Socket(unittest.TestCase):
    def malformed(self, c):
        """(reason, datagram): one fault each."""
        ok = c.message(pc.PING, bytes(16))
        update = pc.UPDATE_PREAMBLE.pack(bytes(16), c.incarnation, 0) + pc.update(pc.entity(1), (0, 0, 0), 9999)
        return [
            ("short_header", b""),
            ("short_header", ok[:79]),
            ("version", b"\x02" + ok[1:]),
            ("type_unknown", c.message(0x77, bytes(16))),
            ("header_flags", c.message(pc.PING, bytes(16), flags=0x8000)),
            ("header_reserved", c.message(pc.PING, bytes(16), reserved1=1)),
            ("length", ok + b"x"),
            ("length", bytes(1453)),
            ("length", bytes(9000)),
            ("count", c.message(pc.UPDATE, update, count=0)),
            ("session", c.message(pc.PING, bytes(16), session=5)),
            ("tag", c.message(pc.PING, bytes(16), tag=b"\1" + bytes(15))),
            ("space_unknown", c.message(pc.UPDATE, update, space=b"\7" * 16)),
            ("incarnation_future", c.message(pc.UPDATE, pc.UPDATE_PREAMBLE.pack(
                bytes(16), c.incarnation + 3600, 0) + update[24:])),
        ]

    def publish(self, c):
        positions = {pc.entity(n): (n * 10.0 - 3000, (n % 7) * 25.0, (n % 3) * 4.0) for n in range(640)}
        ids = list(positions)
        for i in range(0, len(ids), 16):
            rows = c.updates([pc.update(e, positions[e], 1, ttl_ms=600000) for e in ids[i:i + 16]])
            self.assertEqual([r[0] for r in rows], [pc.APPLIED] * 16)
        return positions

    def check_queries(self, c, positions):
        for centre, radius in (((0, 0, 0), 333.3), ((-2000, 80, 4), 77.0), ((3400, 0, 0), 150.0), ((9e5, 0, 0), 5.0)):
            found, truncated = c.query(pc.query(pc.SPHERE, centre, (radius, 0, 0)))
            expected = {e for e, p in positions.items() if pc.distance(p, centre) <= radius}
            self.assertEqual(set(found), expected)
            self.assertFalse(truncated)
            for e, (position, distance) in found.items():
                self.assertLess(pc.distance(position, positions[e]), 0.002)
                self.assertAlmostEqual(distance, pc.distance(positions[e], centre), delta=0.01)
        found, _ = c.query(pc.query(pc.BOX, (-100, -1, -1), (105, 60, 5)))
        self.assertEqual(set(found), {e for e, p in positions.items() if -100 <= p[0] <= 105 and p[1] <= 60 and p[2] <= 5})
        found, _ = c.query(pc.query(pc.SPHERE, (0, 0, 0), (1e5, 0, 0)))
        self.assertEqual(set(found), set(positions))

    def test_all(self):
        with Engine(YAML, user=unprivileged()) as e:
            four, six = pc.Client("127.0.0.1", e.port), pc.Client("::1", e.port)
            denied = pc.Client("127.0.0.1", e.port, source=("127.0.0.3", 0))
            for c in (four, six):
                for _ in range(10):
                    self.assertTrue(c.ping())
            positions = self.publish(four)
            self.check_queries(four, positions)
            self.check_queries(six, positions)

            # A repeat changes nothing and says what is known.
            rows = four.updates([pc.update(pc.entity(n), (0, 0, 0), 1) for n in range(16)])
            for row in rows:
                self.assertEqual((row[0], row[2], row[3:]),
                                 (pc.REFUSED, pc.REASONS["stale"], (four.incarnation, 1)))
            rows = four.updates([pc.update(bytes(16), (0, 0, 0), 1)])
            self.assertEqual(rows[0][2], pc.REASONS["id_nil"])

            # GEODETIC: 1 km north of the first, by about 1/111 degree.
            rows = four.updates([pc.update(pc.entity(5000), (60.0, 25.0, 0), 1, 600000),
                                 pc.update(pc.entity(5001), (60.00897, 25.0, 0), 1, 600000)], space=pc.WORLD)
            self.assertEqual([r[0] for r in rows], [pc.APPLIED] * 2)
            found, _ = four.query(pc.query(pc.SPHERE, (60.0, 25.0, 0), (900, 0, 0)), pc.WORLD)
            self.assertEqual(set(found), {pc.entity(5000)})
            found, _ = four.query(pc.query(pc.SPHERE, (60.0, 25.0, 0), (1100, 0, 0)), pc.WORLD)
            self.assertEqual(set(found), {pc.entity(5000), pc.entity(5001)})

            gone = [pc.entity(n) for n in range(0, 640, 40)]
            rows = four.withdraw([pc.withdrawal(g, 2) for g in gone])
            self.assertEqual([r[0] for r in rows], [pc.APPLIED] * 16)
            for g in gone:
                del positions[g]
            self.check_queries(four, positions)
            rows = four.withdraw([pc.withdrawal(pc.entity(77777), 1)])
            self.assertEqual(rows[0][2], pc.REASONS["unknown_entity"])

            expected = {}
            for reason, datagram in self.malformed(four):
                four.send(datagram)
                expected[reason] = expected.get(reason, 0) + 1
            # What refuses may answer; nothing that does is longer than what it answers, and none crashes.
            four.settle()
            for _ in range(5):
                denied.send(denied.message(pc.PING, bytes(16)))
            expected["source_denied"] = 5
            self.assertTrue(denied.silent())

            state = four.state()
            sent = sum(c.sent for c in (four, six, denied))
            received = sum(c.received for c in (four, six, denied))
            self.assertEqual(state["rx_packets"], sent - four.sent + four.sent_at_state)
            for reason, count in expected.items():
                self.assertEqual(state["refused_" + reason], count, reason)
            e.process.send_signal(signal.SIGUSR1)
            e.wait_line(r"presenced: packets received \d+ = ")

            counters, identity = e.stop()
            self.assertEqual(e.exit, 0, e.log)
            self.assertEqual(counters["rx_packets"], sent)
            self.assertEqual(counters["rx_bytes"], sum(c.sent_bytes for c in (four, six, denied)))
            self.assertEqual(counters["tx_packets"], received)
            self.assertEqual(counters["tx_bytes"], sum(c.received_bytes for c in (four, six, denied)))
            self.assertEqual(counters["carried_ping"], 21)
            self.assertEqual(counters["withdrawn"], 16)
            self.assertEqual(counters["created"], 642)
            self.assertEqual(counters["refused_stale"], 16)
            self.assertNotIn("tx_dropped", counters)
            self.assertEqual(identity["packets", "received"], sent)
            for what in ("packets", "records", "queries"):
                self.assertEqual(identity[what, "difference"], 0, e.log)
            for c in (four, six, denied):
                c.close()

    # 127.0.0.2 is admitted but not trusted: no answer longer than the request, no counters.
    def test_not_trusted(self):
        with Engine(YAML) as e:
            c, other = pc.Client("127.0.0.1", e.port), pc.Client("127.0.0.1", e.port, source=("127.0.0.2", 0))
            self.publish(c)
            self.assertTrue(other.ping())
            before = other.received_bytes
            other.send(other.message(pc.STATE_REQUEST, pc.STATE.pack(1, 0, 0, 0)))
            other.settle()
            self.assertLessEqual(other.received_bytes - before, 96 + 96)  # the ping that settles it has as many
            request = other.message(pc.QUERY, pc.query(pc.SPHERE, (0, 0, 0), (1e5, 0, 0)), space=pc.LOCAL)
            other.send(request)
            before = other.received_bytes
            other.settle()
            self.assertLessEqual(other.received_bytes - before, len(request) + 96)
            counters, identity = e.stop()
            self.assertEqual(e.exit, 0)
            self.assertEqual(counters["refused_not_trusted"], 1)
            self.assertEqual(identity["packets", "received"], c.sent + other.sent)
            self.assertEqual(identity["packets", "difference"], 0)
            c.close()
            other.close()

    # One asks and never reads: the kernel loses what its queue has no room for, and nobody else waits for it.
    def test_slow_receiver(self):
        with Engine(YAML) as e:
            c, slow = pc.Client("127.0.0.1", e.port), pc.Client("127.0.0.1", e.port)
            slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            positions = self.publish(c)
            took = []
            for _ in range(60):
                for _ in range(4):  # sixteen questions, 640 results each
                    slow.send(slow.message(pc.QUERY, pc.query(pc.SPHERE, (0, 0, 0), (1e5, 0, 0)) * 4, 4, space=pc.LOCAL))
                start = time.monotonic()
                self.assertTrue(c.ping())
                took.append(time.monotonic() - start)
            # Not the worst of them, which a busy machine may have stood still for.
            self.assertLess(statistics.median(took), 0.5)
            self.check_queries(c, positions)
            rows = c.updates([pc.update(pc.entity(n), (0, 0, 0), 9) for n in range(16)])
            self.assertEqual([r[0] for r in rows], [pc.APPLIED] * 16)
            read = 0
            slow.socket.setblocking(False)
            while True:
                try:
                    slow.socket.recv(65536)
                    read += 1
                except BlockingIOError:
                    break
            counters, identity = e.stop()
            self.assertEqual(e.exit, 0, e.log)
            self.assertEqual(counters["rx_packets"], c.sent + slow.sent)
            self.assertEqual(counters["carried_query"], slow.sent + 6)
            # What was sent to it is far more than it had room for.
            lost = counters["tx_packets"] - c.received - read
            self.assertGreater(lost, 1000, (counters["tx_packets"], c.received, read))
            for what in ("packets", "records", "queries"):
                self.assertEqual(identity[what, "difference"], 0, e.log)
            c.close()
            slow.close()

    def test_port_taken(self):
        with Engine(YAML) as e:
            done = subprocess.run([BINARY, "--config", str(e.config)], capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 69)
            self.assertIn("Address already in use", done.stderr)
            self.assertEqual(e.stop() and e.exit, 0)

    def test_expiry(self):
        with Engine(YAML) as e:
            c = pc.Client("127.0.0.1", e.port)
            sphere = pc.query(pc.SPHERE, (0, 0, 0), (5, 0, 0))
            # Where the machine stood still for longer than its ttl nothing is said of whether it was there: then with a longer one.
            for n, ttl_ms in enumerate((300, 3000, 30000)):
                start = time.monotonic()
                self.assertEqual(c.updates([pc.update(pc.entity(n), (0, 0, 0), 1, ttl_ms=ttl_ms)])[0][0], pc.APPLIED)
                found = c.query(sphere)[0]
                if time.monotonic() - start < ttl_ms / 1000:
                    break
            else:
                self.fail("thirty seconds did not do for two messages")
            self.assertEqual(list(found), [pc.entity(n)])
            time.sleep(ttl_ms / 1000 + 0.2)
            self.assertEqual(c.query(sphere)[0], {})
            c.close()
            e.stop()
            self.assertEqual(e.exit, 0, e.log)

    def test_duration(self):
        start = time.monotonic()
        with Engine(YAML, arguments=("--duration", "2")) as e:
            self.assertEqual(e.process.wait(timeout=PATIENCE), 0)
            self.assertGreater(time.monotonic() - start, 1.9)


if __name__ == "__main__":
    unittest.main(argv=["test_socket"], verbosity=2)

"""Budgets at the door of the real process: rates of networks that nobody knows and of all together, bytes out, shedding; and that over
every type of request a source that is not trusted never gets more bytes than it sends. The counts agree to the packet throughout."""
import os
import random
import re
import socket
import struct
import threading
import time
import unittest

import presence_client as pc
from engine_process import PATIENCE, Engine, eventually

YAML = """
memory: {entities: 5000, socket_mem_mb: 32}
sources:
  - socket: {address: 127.0.0.1, port: {port}}
trusted: [127.0.0.1/32]
admitted: [127.0.0.0/8]
"""
DETAILED, EXPLAIN, SUBSCRIBE = 0x18, 0x17, 0x14


def populate(c, count=640):
    for i in range(0, count, 16):
        rows = c.updates([pc.update(pc.entity(n), (n * 1.0, 0, 0), 1, ttl_ms=600000) for n in range(i, i + 16)])
        assert [r[0] for r in rows] == [pc.APPLIED] * 16, rows


def drain(c, seconds=0.3):
    """What comes until it is quiet: messages and bytes."""
    before = c.received, c.received_bytes
    c.socket.settimeout(seconds)
    try:
        while True:
            c.receive()
    except pc.Timeout:
        pass
    c.socket.settimeout(c.timeout)
    return c.received - before[0], c.received_bytes - before[1]


class Limits(unittest.TestCase):
    def finish(self, e, clients):
        counters, identity = e.stop()
        self.assertEqual(e.exit, 0, e.log)
        self.assertEqual(counters["rx_packets"], sum(c.sent for c in clients))
        for what in ("packets", "records", "queries", "subscribes"):
            self.assertEqual(identity[what, "difference"], 0, e.log)
        for c in clients:
            c.close()
        return counters

    # 200 updates and 100 questions a second of a /24, 20 networks beside each other.
    def test_networks(self):
        with Engine(YAML + "limits: {network: {updates: 200, queries: 100}, burst_ms: 500}\n") as e:
            friend = pc.Client("127.0.0.1", e.port)
            one = pc.Client("127.0.0.1", e.port, source=("127.0.5.1", 0))
            two = pc.Client("127.0.0.1", e.port, source=("127.0.5.2", 0))
            other = pc.Client("127.0.0.1", e.port, source=("127.0.6.1", 0))
            populate(friend)
            start = time.monotonic()
            for n in range(400):
                c = one if n % 2 else two
                c.send(c.message(pc.UPDATE, pc.UPDATE_PREAMBLE.pack(bytes(16), c.incarnation, 0) +
                                 pc.update(pc.entity(10000 + n), (0, 0, 0), 1, ttl_ms=600000)))
            self.assertTrue(other.ping())
            rows = other.updates([pc.update(pc.entity(20000), (0, 0, 0), 1)])
            self.assertEqual(rows[0][0], pc.APPLIED)
            state = friend.state()
            took = time.monotonic() - start
            applied = 400 - state["refused_rate_source"]
            self.assertGreaterEqual(applied, 100)  # half a second's worth at once
            self.assertLessEqual(applied, 100 + 200 * took + 1)
            # A question above the rate is told its code, in no more bytes than it has. Many at once, and again where a busy machine was so slow
            # about them that they were not too many.
            codes, wanted = set(), {(0, 0), (0x53, pc.REASONS["rate_source"])}
            end = time.monotonic() + PATIENCE
            while codes != wanted and time.monotonic() < end:
                request = [one.message(pc.QUERY, pc.query(pc.SPHERE, (0, 0, 0), (10, 0, 0)), space=pc.LOCAL) for _ in range(120)]
                for r in request:
                    one.send(r)
                for r in request:
                    before = one.received_bytes
                    header, body = one.receive()
                    self.assertLessEqual(one.received_bytes - before, len(r))
                    answer = pc.ANSWER.unpack_from(body)
                    codes.add((answer[1], answer[2]))
                self.assertLessEqual(codes, wanted)
            self.assertEqual(codes, wanted)
            time.sleep(0.6)  # and again when there is room
            found, _ = one.query(pc.query(pc.SPHERE, (0, 0, 0), (0.4, 0, 0)))
            self.assertIsInstance(found, dict)
            self.finish(e, [friend, one, two, other])

    def test_total(self):
        with Engine(YAML + "limits: {total: {updates: 1000, queries: 500}, burst_ms: 200}\n") as e:
            c = pc.Client("127.0.0.1", e.port)
            start, rows = time.monotonic(), []
            for n in range(100):
                rows.append(c.updates([pc.update(pc.entity(n * 16 + i), (0, 0, 0), 1, ttl_ms=600000) for i in range(16)]))
            took = time.monotonic() - start
            applied = sum(len(r) for r in rows if isinstance(r, list))
            self.assertGreaterEqual(applied, 200 - 15)
            self.assertLessEqual(applied, 200 + 1000 * took + 16)
            told = {r for r in rows if isinstance(r, tuple)}
            self.assertLessEqual(told, {(0x53, pc.REASONS["rate_total"])})
            counters = self.finish(e, [c])
            self.assertEqual(counters["records_applied"], applied)

    # Answers of 41 kB each against 100 kB a second.
    def test_bandwidth(self):
        with Engine(YAML + "limits: {total: {bytes_out: 100000}, burst_ms: 1000}\n") as e:
            c = pc.Client("127.0.0.1", e.port)
            populate(c)
            c.settle()
            time.sleep(1)
            before, start = c.received_bytes, time.monotonic()
            while time.monotonic() - start < (2 if c.received_bytes - before > 100000 else PATIENCE):
                c.send(c.message(pc.QUERY, pc.query(pc.SPHERE, (0, 0, 0), (1e5, 0, 0)), space=pc.LOCAL))
                drain(c, 0.02)
            took = time.monotonic() - start
            got = c.received_bytes - before
            self.assertGreater(got, 100000)
            self.assertLessEqual(got, 100000 * (2 + took) + 16 * 1452)
            eventually(lambda: e.unread()[0] == 0, e.unread)
            time.sleep(3)  # the debt is paid
            c.settle()
            found, _ = c.query(pc.query(pc.SPHERE, (0, 0, 0), (5.5, 0, 0)))
            self.assertEqual(len(found), 6)
            counters = self.finish(e, [c])
            self.assertGreater(counters["dropped_bandwidth"], 0)

    # Every full turn is a high load here: two senders as fast as they can against one percent.
    def test_load(self):
        with Engine(YAML + "load: {coarser_percent: 1, shedding_percent: 1}\n") as e:
            c = pc.Client("127.0.0.1", e.port)
            populate(c)
            stop, senders = threading.Event(), [pc.Client("127.0.0.1", e.port) for _ in range(2)]

            def flood(s):
                message = s.message(pc.PING, bytes(16))
                while not stop.is_set():
                    for _ in range(64):
                        s.socket.send(message)
            threads = [threading.Thread(target=flood, args=(s,)) for s in senders]
            for t in threads:
                t.start()
            try:
                e.wait_line(r"worker 0: load shedding")
            finally:
                stop.set()
                for t in threads:
                    t.join()
            e.wait_line(r"worker 0: load normal")
            self.assertEqual(len(c.query(pc.query(pc.SPHERE, (0, 0, 0), (5.5, 0, 0)))[0]), 6)
            state = {}

            def as_before():
                state.update(c.state())
                return state["load_raised"] == state["load_lowered"]

            eventually(as_before, lambda: (state["load_raised"], state["load_lowered"], e.log))
            self.assertGreaterEqual(state["load_raised"], 2)
            _, identity = e.stop()
            self.assertEqual(e.exit, 0, e.log)
            self.assertEqual(identity["packets", "difference"], 0)
            for s in senders + [c]:
                s.close()

    # Full: the newest are taken, and the oldest go. 256 places are held free for those that come while a grace period passes: more than enough
    # for a third of a second.
    def test_full_table(self):
        with Engine(YAML.replace("entities: 5000", "entities: 5000, when_full: least_recently_seen")) as e:
            c = pc.Client("127.0.0.1", e.port)
            for n in range(0, 7000, 8):
                rows = c.updates([pc.update(pc.entity(n + i), (n + i, 0, 0), 1, ttl_ms=600000) for i in range(8)])
                self.assertEqual([r[0] for r in rows], [pc.APPLIED] * 8, n)
                time.sleep(0.01 if n > 4000 else 0)
            found, _ = c.query(pc.query(pc.SPHERE, (6950, 0, 0), (49.5, 0, 0)))
            self.assertEqual(len(found), 99)
            counters = self.finish(e, [c])
            self.assertGreaterEqual(counters["evicted"], 2000)
            self.assertNotIn("refused_table_full", counters)

    def requests(self, c):
        """A sound message of every type that a client may send, in all lengths that matter, and broken ones."""
        preamble = pc.UPDATE_PREAMBLE.pack(bytes(16), c.incarnation, 0)
        for flags in (0, pc.FLAG_ACK):
            for count in (1, 7, 16):
                yield c.message(pc.UPDATE, preamble + b"".join(
                    pc.update(pc.entity(n), (n, 0, 0), c.sequence + 2, ttl_ms=600000) for n in range(count)), count, flags)
            for count in (1, 48):
                yield c.message(pc.WITHDRAW, preamble + b"".join(
                    pc.withdrawal(pc.entity(9000 + n), 1) for n in range(count)), count, flags)
        for count in (1, 3, 10):
            for kind, a, b in ((pc.SPHERE, (0, 0, 0), (1e5, 0, 0)), (pc.BOX, (-1e5,) * 3, (1e5,) * 3), (pc.POINT, (1, 0, 0), (0,) * 3),
                               (99, (0, 0, 0), (0, 0, 0))):
                yield c.message(pc.QUERY, pc.query(kind, a, b) * count, count, space=pc.LOCAL)
        yield c.message(pc.PING, bytes(16))
        for first in (0, 60):
            yield c.message(pc.STATE_REQUEST, pc.STATE.pack(1, first, 0, 0))
        explain = pc.entity(1) + bytes(16) + pc.query(pc.SPHERE, (0, 0, 0), (5, 0, 0))
        for n in range(0, 64, 8):
            yield c.message(EXPLAIN, explain[:16] + bytes(n) + explain[32:], 1, space=pc.LOCAL)
        for size in range(0, 1372, 97):
            yield c.message(SUBSCRIBE, bytes([1]) + bytes(size), 1, space=pc.LOCAL)
            yield c.message(DETAILED, preamble + bytes(size), 1, pc.FLAG_ACK)
        for kind in range(256):
            yield c.message(kind, bytes(16))
            yield c.message(kind, bytes(512), 4, pc.FLAG_ACK)

    def amplification(self, more):
        chance = random.Random(0xA3F)
        with Engine(YAML + more) as e:
            friend = pc.Client("127.0.0.1", e.port)
            populate(friend)
            clients, worst = [friend], 0.0
            for number in (2, 3):
                c = pc.Client("127.0.0.1", e.port, source=(f"127.0.0.{number}", 0))
                clients.append(c)
                asked = 0
                for request in self.requests(c):
                    for broken in (False, True):
                        if broken:
                            request = bytearray(request)
                            for _ in range(1 + chance.randrange(3)):
                                request[chance.randrange(len(request))] ^= 1 << chance.randrange(8)
                        c.send(bytes(request))
                        asked += 1
                        if asked % 32:
                            continue
                        drain(c, 0.02)
                        self.assertLessEqual(c.received_bytes, c.sent_bytes)
                drain(c)
                worst = max(worst, c.received_bytes / c.sent_bytes)
                self.assertGreater(c.received, 20)
                # One by one: at no moment has more come back than was sent. An answer may come late.
                before = c.received_bytes - c.sent_bytes
                for request in self.requests(c):
                    c.send(request)
                    drain(c, 0.004)
                    self.assertLessEqual(c.received_bytes - c.sent_bytes, before, request[:2])
            self.assertLessEqual(worst, 1.0)
            self.finish(e, clients)

    def test_amplification(self):
        self.amplification("")

    def test_amplification_above_the_rate(self):
        self.amplification("limits: {network: {updates: 100, queries: 50}}\n")


if __name__ == "__main__":
    unittest.main(argv=["test_limits"], verbosity=2)

"""Two workers on one port (SO_REUSEPORT): updates that arrive at the worker that does not own the entity, two creations of
one id, and queries on either; each record and packet still has one outcome."""
import unittest

import presence_client as pc
from engine_process import Engine, eventually

YAML = """
workers: {count: 2}
memory: {entities: 5000, socket_mem_mb: 32}
sources:
  - socket: {port: {port}}
"""


class Workers(unittest.TestCase):
    def test_foreign_updates(self):
        with Engine(YAML) as e:
            # With sixteen sockets the kernel's hash leaves one worker without any once in 2^15.
            clients = [pc.Client("127.0.0.1", e.port) for _ in range(16)]
            incarnation = min(c.incarnation for c in clients)
            for c in clients:
                c.incarnation = incarnation
            statuses = set()
            n, sequence = 64, 0
            for _ in range(6):
                for c in clients:
                    sequence += 1
                    for i in range(0, n, 16):
                        rows = c.updates([pc.update(pc.entity(k), (k * 5.0, sequence * 0.25, 0), sequence, 600000)
                                          for k in range(i, i + 16)])
                        statuses |= {r[0] for r in rows}
            self.assertLessEqual(statuses, {pc.APPLIED, pc.ACCEPTED, pc.COALESCED}, statuses)
            self.assertIn(pc.ACCEPTED, statuses, "no update went to another worker")
            # What the other worker took is there within moments, on either worker.
            for c in clients:
                found = {}

                def all_there():
                    found.clear()
                    found.update(c.query(pc.query(pc.SPHERE, (160, sequence * 0.25, 0), (400, 0, 0)))[0])
                    return set(found) == {pc.entity(k) for k in range(n)} and all(abs(p[1] - sequence * 0.25) < 0.01 for p, _ in found.values())

                eventually(all_there, lambda: found)
            # Many ids, each created by two senders at once.
            for base in range(1000, 1640, 16):
                for c in clients[:8]:
                    c.updates([pc.update(pc.entity(base + k), (5000.0, k, 0), 1, 600000) for k in range(16)], ack=False)
            for c in clients:
                self.assertTrue(c.ping())
            created = {pc.entity(1000 + k) for k in range(640)}
            eventually(lambda: clients[0].query(pc.query(pc.SPHERE, (5000, 8, 0), (100, 0, 0)))[0].keys() == created)

            counters, identity = e.stop()
            self.assertEqual(e.exit, 0, e.log)
            self.assertGreater(counters["records_forwarded"], 0)
            self.assertEqual(counters["rx_packets"], sum(c.sent for c in clients))
            self.assertEqual(counters["tx_packets"], sum(c.received for c in clients))
            self.assertEqual(counters["created"], n + 640)
            self.assertEqual(counters["records_carried"], 6 * 16 * n + 8 * 640)
            for what in ("packets", "records", "queries"):
                self.assertEqual(identity[what, "difference"], 0, e.log)
            self.assertNotIn("not everything", e.log)
            for c in clients:
                c.close()


if __name__ == "__main__":
    unittest.main(argv=["test_workers"], verbosity=2)

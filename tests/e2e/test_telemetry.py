"""DPDK's telemetry socket: both identities, counters and reasons as a client of it sees them; nothing is left behind."""
import json
import os
import signal
import socket
import unittest

import presence_client as pc
from engine_process import PATIENCE, Engine

YAML = """
memory: {entities: 1000, socket_mem_mb: 32}
telemetry: true
sources:
  - socket: {port: {port}}
"""


class Telemetry(unittest.TestCase):
    def ask(self, s, command):
        s.send(command.encode())
        return json.loads(s.recv(65536))[command]

    def test_all(self):
        with Engine(YAML) as e, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            path = e.wait_line(r"telemetry: (\S+)")[1]
            s.settimeout(PATIENCE)
            s.connect(path)
            self.assertIn("version", json.loads(s.recv(65536)))
            c = pc.Client("127.0.0.1", e.port)
            for _ in range(7):
                self.assertTrue(c.ping())
            self.assertEqual(c.updates([pc.update(pc.entity(1), (1, 2, 3), 1, 600000)])[0][0], pc.APPLIED)
            c.send(b"short")
            self.assertTrue(c.ping())

            stats = self.ask(s, "/presence/stats")
            self.assertEqual(stats["rx_packets"], c.sent)
            self.assertEqual(stats["carried_ping"], 8)
            self.assertEqual(stats["records_applied"], 1)
            drops = self.ask(s, "/presence/drops")
            self.assertEqual({k: v for k, v in drops.items() if v}, {"refused_short_header": 1})
            self.assertEqual(set(stats) | set(drops) | {"none"}, set(pc.COUNTERS))
            identity = self.ask(s, "/presence/identity")
            self.assertEqual(identity["packets_received"], c.sent)
            self.assertEqual(identity["packets_received"],
                             identity["packets_refused"] + identity["packets_dropped"] + identity["packets_carried"])
            self.assertEqual((identity["packets_difference"], identity["records_difference"],
                              identity["queries_difference"], identity["entities"]), (0, 0, 0, 1))
            # Nobody has subscribed.
            self.assertEqual(identity["heap_taken_bytes"], 0)
            self.assertGreater(identity["heap_max_bytes"], 1 << 20)
            self.assertEqual(self.ask(s, "/presence/sources"), {"source0_kernel_dropped": 0})
            c.close()
            e.stop()
            self.assertEqual(e.exit, 0)
            self.assertFalse(os.path.exists(os.path.dirname(path)), "EAL's directory was left behind")

    # A terminal that closes or an interrupt ends it as SIGTERM does.
    def test_other_signals(self):
        for by in (signal.SIGINT, signal.SIGHUP):
            with Engine(YAML) as e:
                path = e.wait_line(r"telemetry: (\S+)")[1]
                c = pc.Client("127.0.0.1", e.port)
                self.assertTrue(c.ping())
                counters, identity = e.stop(by=by)
                self.assertEqual(e.exit, 0, e.log)
                self.assertIn(f"{by.name}: draining", e.log)
                self.assertEqual(counters["rx_packets"], c.sent)
                self.assertEqual(identity["packets", "difference"], 0)
                self.assertFalse(os.path.exists(os.path.dirname(path)), by.name + ": EAL's directory was left behind")
                c.close()

    # nohup: what is ignored at the start stays ignored.
    def test_hangup_ignored(self):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            with Engine(YAML) as e:
                c = pc.Client("127.0.0.1", e.port)
                e.process.send_signal(signal.SIGHUP)
                e.process.send_signal(signal.SIGUSR1)
                e.wait_line(r"presenced: packets received \d+ = ")
                self.assertTrue(c.ping())
                e.stop()
                self.assertEqual(e.exit, 0)
                self.assertNotIn("SIGHUP", e.log)
                c.close()
        finally:
            signal.signal(signal.SIGHUP, before)


if __name__ == "__main__":
    unittest.main(argv=["test_telemetry"], verbosity=2)

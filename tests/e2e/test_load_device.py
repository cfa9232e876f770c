"""presence-load on a DPDK port of its own against a presenced on another, a veth pair between them: no kernel on the way, and
both accounts agree. Needs root."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

from engine_process import Engine, skip
from test_veth import Pair

LOAD = sys.argv[2] if len(sys.argv) > 2 else ""
YAML = """
memory: {entities: 5000, socket_mem_mb: 64}
admitted: [192.0.2.0/24]
trusted: [192.0.2.9/32]
sources:
  - ethdev: {device: "net_af_packet0,iface=@port@,framecnt=4096", addresses: [192.0.2.1/24]}
"""


class LoadDevice(unittest.TestCase):
    def load(self, pair, own, *more):
        command = ["ip", "netns", "exec", pair.host, LOAD, "-j", "-q", "--host", "192.0.2.1", "--device",
                   f"{own}@net_af_packet0,iface={pair.near}", "--walkers", "300", "--rate", "2000", "--queries", "50",
                   "--for", "4s", "--query-timeout", "20s", *more]
        def left():
            return {p.name for p in pathlib.Path("/var/run/dpdk").glob("presence-load-*")}

        before = left()
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(left() - before, set(), "EAL's directory was left behind")
        return done

    def test_accounts_agree(self):
        with Pair() as pair, Engine(YAML.replace("@port@", pair.port), port=10202, netns=pair.engine) as e:
            done = self.load(pair, "192.0.2.9")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr + e.log)
            summary = json.loads(done.stdout)
            self.assertEqual(summary["accounting_difference"], 0, summary)
            self.assertGreater(summary["sent"]["records"], 3000, summary)
            self.assertEqual(summary["received"], summary["sent"]["records"], summary)
            self.assertEqual((summary["refused"], summary["dropped"], summary["lost"]), (0, 0, 0), summary)
            self.assertGreater(summary["answers"], 50, summary)
            self.assertEqual(summary["entities"], 300, summary)
            counters, identity = e.stop()
            self.assertEqual(e.exit, 0, e.log)
            self.assertEqual(counters["records_carried"], summary["sent"]["records"], e.log)
            self.assertNotIn("tx_dropped", counters)
            for what in ("packets", "records", "queries"):
                self.assertEqual(identity[what, "difference"], 0, e.log)

    # Nobody there: says so and ends.
    def test_nobody_there(self):
        with Pair() as pair:
            done = self.load(pair, "192.0.2.9")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("nobody on the port's network answers", done.stdout + done.stderr)


if __name__ == "__main__":
    if os.geteuid() != 0:
        skip("test_load_device needs root for namespaces and packet sockets")
    for tool in ("ip", "ethtool"):
        if not shutil.which(tool):
            skip(f"test_load_device needs {tool}")
    unittest.main(argv=["test_load_device"])

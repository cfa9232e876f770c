"""presenced with all of its memory on huge pages: reserves some for the time of the test where it may, and puts the number back.
Needs root, and a kernel that finds so many."""
import os
import pathlib
import re
import signal
import sys
import unittest

import presence_client as pc
from engine_process import Engine, skip

PAGES = 128
COUNT = pathlib.Path("/proc/sys/vm/nr_hugepages")
YAML = """
memory: {entities: 5000, huge_pages: true, no_huge: false, socket_mem_mb: 32}
admitted: [10.0.0.0/8, 127.0.0.0/8]
sources:
  - ethdev: {device: "net_null0,size=64", addresses: [10.0.0.1/8], descriptors: 64}
  - socket: {port: {port}}
"""


def meminfo(name):
    return int(re.search(rf"^{name}:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)[1])


class Huge(unittest.TestCase):
    def test_run(self):
        free = meminfo("HugePages_Free")
        with Engine(YAML) as e:
            used = free - meminfo("HugePages_Free")
            # DPDK's 32 MB are touched at start; the engine's pools as they are used.
            self.assertGreaterEqual(used * meminfo("Hugepagesize"), 32 * 1024, e.log)
            for pool in ("records", "index"):
                self.assertTrue(e.wait_line(rf"^\s+{pool} .* MiB  huge pages$"), e.log)
            c = pc.Client("127.0.0.1", e.port)
            self.assertEqual(c.updates([pc.update(pc.entity(1), (1, 2, 3), 1)])[0][0], pc.APPLIED)
            self.assertEqual(len(c.query(pc.query(pc.SPHERE, (0, 0, 0), (5, 0, 0)))[0]), 1)
            c.close()
            counters, identity = e.stop()
            self.assertEqual(e.exit, 0, e.log)
            # The null port's frames never end, and are refused one by one.
            self.assertGreater(counters["rx_packets"], 1000)
            self.assertEqual(identity["packets", "difference"], 0, e.log)
            self.assertEqual(identity["packets", "carried"], c.sent, e.log)
        self.assertEqual(meminfo("HugePages_Free"), free, "pages were left in use")


if __name__ == "__main__":
    if os.geteuid() != 0:
        skip("test_huge needs root to reserve huge pages")
    was = int(COUNT.read_text())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the number is put back then too
    try:
        COUNT.write_text(str(was + PAGES))
    except OSError as error:
        skip(f"test_huge: vm.nr_hugepages cannot be raised: {error}")
    try:
        if meminfo("Hugepagesize") != 2048 or meminfo("HugePages_Free") < PAGES:
            skip(f"test_huge: the kernel gave fewer than {PAGES} huge pages of 2 MiB")
        unittest.main(argv=["test_huge"])
    finally:
        COUNT.write_text(str(was))

"""A socket whose sends block: the kernel keeps answers for a neighbour that it cannot find until the socket's memory is used up.
What cannot be sent is dropped and counted, updates go on being taken, and all are answered again afterwards. Needs root."""
import os
import shutil
import subprocess
import unittest

import presence_client as pc
from engine_process import Engine, eventually, skip
from test_veth import Pair, ip

YAML = """
memory: {entities: 1000, socket_mem_mb: 32}
admitted: [192.0.2.0/24]
trusted: [192.0.2.0/24]
sources:
  - socket: {address: 192.0.2.1}
"""


def mac(namespace, interface):
    text = subprocess.run(["ip", "-n", namespace, "-o", "link", "show", "dev", interface], check=True, capture_output=True,
                          text=True, timeout=10).stdout
    return text.split("link/ether ")[1].split()[0]


class Blocked(unittest.TestCase):
    def prepare(self, pair):
        """The host answers no ARP; each side knows one of the other's addresses. 192.0.2.3 is found by nobody, and looked for until the test
        says that it is given up, however long all takes."""
        for namespace, setting in ((pair.host, "net.ipv4.conf.all.arp_ignore=8"),
                                   (pair.engine, f"net.ipv4.neigh.{pair.port}.unres_qlen_bytes=64000000"),
                                   (pair.engine, f"net.ipv4.neigh.{pair.port}.mcast_solicit=3600")):
            subprocess.run(["ip", "netns", "exec", namespace, "sysctl", "-qw", setting], check=True, timeout=10)
        ip("-n", pair.engine, "address", "add", "192.0.2.1/24", "dev", pair.port)
        ip("-n", pair.engine, "neigh", "add", "192.0.2.2", "lladdr", mac(pair.host, pair.near), "dev", pair.port, "nud",
           "permanent")
        ip("-n", pair.host, "neigh", "add", "192.0.2.1", "lladdr", mac(pair.engine, pair.port), "dev", pair.near, "nud",
           "permanent")

    def test_unreachable_neighbour(self):
        with Pair() as pair:
            self.prepare(pair)
            with Engine(YAML, port=10202, netns=pair.engine) as e:
                good = pair.client("192.0.2.1", source=("192.0.2.2", 0))
                lost = pair.client("192.0.2.1", source=("192.0.2.3", 0))
                self.assertTrue(good.ping())
                for n in range(1, 9):
                    self.assertEqual(good.updates([pc.update(pc.entity(n), (n, 0, 0), 1, 60000)])[0][0], pc.APPLIED)
                # Each small datagram counts for 832 bytes or so; the socket asks for 4 MiB, of which the kernel makes 8.
                for k in range(14000):
                    lost.send(lost.message(pc.PING, bytes(16)))
                    if k % 500 == 0:
                        eventually(lambda: e.unread()[0] < 1 << 20, e.unread)
                # An acknowledgement has no room now; the updates are taken all the same.
                for n in range(1, 9):
                    good.updates([pc.update(pc.entity(n), (n, 7, 0), 2, 60000)], ack=False)
                eventually(lambda: e.unread()[0] == 0, e.unread)
                # The neighbour is given up, and what was kept for it with it.
                ip("-n", pair.engine, "neigh", "del", "192.0.2.3", "dev", pair.port)
                good.socket.settimeout(1.0)

                def answered():
                    try:
                        return good.ping()
                    except (pc.Timeout, ValueError):
                        return False

                eventually(answered, lambda: "no answer any more\n" + e.log)
                good.socket.settimeout(good.timeout)
                found, _ = good.query(pc.query(pc.SPHERE, (0, 0, 0), (100, 0, 0)))
                self.assertEqual({i: p for i, (p, _) in found.items()},
                                 {pc.entity(n): (n, 7, 0) for n in range(1, 9)})
                counters, identity = e.stop()
                self.assertEqual(e.exit, 0, e.log)
                self.assertGreater(counters["tx_dropped"], 100, e.log)
                self.assertEqual(counters["rx_packets"], good.sent + lost.sent, e.log)
                self.assertEqual(counters["records_applied"], 16)
                for what in ("packets", "records", "queries"):
                    self.assertEqual(identity[what, "difference"], 0, e.log)
                good.close()
                lost.close()


if __name__ == "__main__":
    if os.geteuid() != 0:
        skip("test_blocked needs root for namespaces")
    for tool in ("ip", "ethtool"):
        if not shutil.which(tool):
            skip(f"test_blocked needs {tool}")
    unittest.main(argv=["test_blocked"])

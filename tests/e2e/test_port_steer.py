"""Flow rules on real drivers: one that has none (null), and tap, whose rules are the kernel's and need multiq and flower there. Where a port can't steer
it says so and serves as before; with `steer: on` presenced doesn't start and says why. Tap needs root."""
import os
import shutil
import subprocess
import unittest

from engine_process import Engine, eventually

YAML = """
workers: {count: 1}
memory: {entities: 1000, socket_mem_mb: 64}
admitted: [0.0.0.0/0]
trusted: [192.0.2.0/25]
sources:
  - ethdev: {device: "@device@", addresses: [192.0.2.1/24], steer: @steer@}
"""


def yaml(device, steer):
    return YAML.replace("@device@", device).replace("@steer@", steer)


class PortSteer(unittest.TestCase):
    def refused(self, device, netns=None):
        """steer: on ends the start, with the driver's reason."""
        with self.assertRaises(AssertionError) as raised:
            Engine(yaml(device, "on"), netns=netns).__enter__()
        self.assertIn("steer is on, but the port cannot: ", str(raised.exception))

    def test_null(self):
        with Engine(yaml("net_null0,no-rx=1", "auto")) as e:
            self.assertIn("net_null0,no-rx=1 cannot steer: its driver refuses 192.0.2.0/25", e.log)
            e.stop()
            self.assertEqual(e.exit, 0, e.log)
        with Engine(yaml("net_null0,no-rx=1", "off")) as e:
            self.assertNotIn("steer", e.log)
        self.refused("net_null0,no-rx=1")

    def test_tap(self):
        if os.geteuid() != 0 or not os.path.exists("/dev/net/tun") or not shutil.which("ip"):
            self.skipTest("tap needs root, /dev/net/tun and ip")
        name = f"pt{os.getpid() % 100000}"
        device = f"net_tap0,iface={name}"

        def ip(*arguments):
            subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=60)

        ip("netns", "add", name)
        try:
            with Engine(yaml(device, "auto"), netns=name) as e:
                steers = e.wait_line(r"(cannot steer: |steers: \d+ rules)")[1].startswith("steers")
                ip("-n", name, "address", "add", "192.0.2.2/24", "dev", name)
                ip("-n", name, "link", "set", name, "up")

                def ping(count):
                    return subprocess.run(["ip", "netns", "exec", name, "ping", "-n", "-c", str(count), "-i", "0.2", "-W", "20", "192.0.2.1"],
                                          capture_output=True, text=True, timeout=60, check=False)

                # The link is there a moment after it was asked for.
                eventually(lambda: ping(1).returncode == 0)
                pinged = ping(5)
                self.assertIn(" 0% packet loss", pinged.stdout, pinged.stdout + e.log)
                counters, identity = e.stop()
                self.assertEqual(e.exit, 0, e.log)
                self.assertEqual(identity["packets", "difference"], 0)
                self.assertGreaterEqual(counters["carried_link"], 6)
                self.assertEqual(steers, "steer_rules" in e.log)
            if not steers:
                self.refused(device, name)
        finally:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=60, check=False)


if __name__ == "__main__":
    unittest.main(argv=["test_port_steer"], verbosity=2)

"""The process gives its rights up before it says that it is ready, and works on without them: every thread by the kernel's word,
with sockets, memif and null ports and telemetry; at the end nothing is left behind. And what the unit for systemd is worth."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

import presence_client as pc
from engine_process import BINARY, PATIENCE, Engine, run

ROOT = pathlib.Path(__file__).resolve().parents[2]
YAML = """
memory: {entities: 5000, socket_mem_mb: 32}
telemetry: true
sources:
  - socket: {address: 127.0.0.1, port: {port}}
"""
MEMIF = """
memory: {entities: 2000, socket_mem_mb: 64}
admitted: [127.0.0.0/8, 10.0.0.0/8]
sources:
  - socket: {address: 127.0.0.1, port: {port}}
  - ethdev: {device: "net_memif0,role=@role@,id=0,socket-abstract=no,socket=@socket@", addresses: [10.0.0.@number@/8]}
  - ethdev: {device: "net_null0,size=64", addresses: [10.0.0.9/8], descriptors: 64}
"""


def threads(pid):
    """The status of each thread: {key: value}."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        yield dict(re.findall(r"^(\w+):\s*(.*)$", (task / "status").read_text(), re.M))


def telemetry(path, command):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(PATIENCE)
        s.connect(path)
        s.recv(4096)
        s.send(command.encode())
        return json.loads(s.recv(65536))[command]


class Sandbox(unittest.TestCase):
    def check_threads(self, e, least):
        given = e.wait_line(r"presenced: rights given up on (\d+) threads: (.*)")
        seen = list(threads(e.process.pid))
        self.assertGreaterEqual(len(seen), least)
        self.assertEqual(len(seen), int(given[1]))
        for status in seen:
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(status[name], 16), 0, (status["Name"], name))
            self.assertEqual(status["NoNewPrivs"], "1", status["Name"])
            self.assertEqual(status["Seccomp"], "2" if "system calls" in given[2] else "0", status["Name"])

    def serve(self, e):
        c = pc.Client("127.0.0.1", e.port)
        self.assertTrue(c.ping())
        rows = c.updates([pc.update(pc.entity(n), (n, 0, 0), 1, ttl_ms=60000) for n in range(16)])
        self.assertEqual([r[0] for r in rows], [pc.APPLIED] * 16)
        self.assertEqual(len(c.query(pc.query(pc.SPHERE, (0, 0, 0), (100, 0, 0)))[0]), 16)
        c.close()

    def test_socket(self):
        with Engine(YAML) as e:
            self.check_threads(e, 5)
            self.serve(e)
            path = e.wait_line(r"telemetry: (\S+)")[1]
            for _ in range(3):  # a thread of its own each time
                self.assertEqual(telemetry(path, "/presence/identity")["entities"], 16)
            counters, _ = e.stop()
            self.assertEqual(e.exit, 0, e.log)
            self.assertEqual(counters["created"], 16)
            self.assertFalse(os.path.exists(os.path.dirname(path)), "its directory is left behind")

    def test_off(self):
        with Engine(YAML + "security: {sandbox: off}\n") as e:
            e.wait_line(r"warning: security.sandbox is off")
            self.assertTrue(all(status["NoNewPrivs"] == "0" for status in threads(e.process.pid)))
            self.serve(e)
            e.stop()
            self.assertEqual(e.exit, 0, e.log)

    # The two ends find each other when both have given up what they had: by system calls and files of that time.
    def test_memif(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/memif.sock"

            def yaml(role, number):
                return MEMIF.replace("@role@", role).replace("@number@", str(number)).replace("@socket@", path)
            with Engine(yaml("server", 1)) as one:
                self.check_threads(one, 4)
                with Engine(yaml("client", 2)) as two:
                    self.check_threads(two, 4)
                    self.serve(one)
                    self.serve(two)
                    time.sleep(1)
                    two.stop()
                    self.assertEqual(two.exit, 0, two.log)
                with Engine(yaml("client", 3)) as three:  # and again
                    self.serve(three)
                    three.stop()
                    self.assertEqual(three.exit, 0, three.log)
                counters, identity = one.stop()
                self.assertEqual(one.exit, 0, one.log)
                self.assertGreater(counters["refused_not_for_us"], 0)  # the null port's
                self.assertEqual(identity["packets", "difference"], 0)
            self.assertFalse(os.path.exists(path), "the socket is left behind")

    def test_configuration(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write("security: {sandbox: perhaps}\n")
            f.flush()
            done = run("--config", f.name, "--check-config")
            self.assertEqual(done.returncode, 78)
            self.assertIn("security.sandbox: must be off or on", done.stderr)

    # At most 2.0 of 10, and nothing that systemd does not understand.
    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_service(self):
        unit = ROOT / "configs" / "presenced.service"
        rated = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit],
                               capture_output=True, text=True, timeout=120, check=False)
        if "Unknown" in rated.stderr or "unrecognized option" in rated.stderr:
            self.skipTest("this systemd-analyze rates no files")
        self.assertEqual(rated.returncode, 0, rated.stdout + rated.stderr)
        self.assertLessEqual(float(re.search(r"exposure level for \S+: ([\d.]+)", rated.stdout)[1]), 2.0)
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "presenced.service"
            copy.write_text(unit.read_text().replace("/usr/local/bin/presenced", str(pathlib.Path(BINARY).resolve())).replace(
                "Documentation=", "# "))
            checked = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True,
                                     timeout=120, check=False)
            # Units of the machine may be wrong in their own ways.
            self.assertNotIn("presenced.service", checked.stderr)


if __name__ == "__main__":
    unittest.main(argv=["test_sandbox"], verbosity=2)

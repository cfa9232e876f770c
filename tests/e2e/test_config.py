"""Configurations in the repository load; mistakes end with 78 and file, line and key; other exit codes."""
import pathlib
import tempfile
import unittest

from engine_process import run

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Config(unittest.TestCase):
    def test_shipped(self):
        shipped = sorted((ROOT / "configs").glob("*.yaml"))
        self.assertGreaterEqual(len(shipped), 3)
        for path in shipped:
            done = run("--config", str(path), "--check-config")
            self.assertEqual((done.returncode, done.stderr), (0, ""), path)

    def test_mistakes(self):
        for text, expected in (
            ("workers:\n  cuont: 2\n", ":2: workers.cuont: there is no such key"),
            ("workers:\n  count: 64\n", ":2: workers.count: must be from 1 to 32, not 64"),
            ("spaces:\n  - kind: cartesian\n    id: nonsense\n", ":3: spaces[0].id: must be a uuid"),
            ("telemetry: perhaps\n", ":1: telemetry: must be true or false"),
            ("sources:\n  - socket: {address: nowhere}\n", ":2: sources[0].socket.address: must be an IPv4 or IPv6"),
            ("sources: [\n", ": not YAML: "),
        ):
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
                f.write(text)
                f.flush()
                for more in ((), ("--check-config",)):
                    done = run("--config", f.name, *more)
                    self.assertEqual(done.returncode, 78, done.stderr)
                    self.assertIn(f.name, done.stderr)
                    self.assertIn(expected, done.stderr)

    def test_exit_codes(self):
        self.assertEqual(run("--config", "/nonexistent.yaml").returncode, 66)
        self.assertEqual(run("--no-such-option").returncode, 64)
        self.assertEqual(run("--duration", "0").returncode, 64)
        self.assertEqual(run("stray").returncode, 64)
        version = run("--version")
        self.assertEqual(version.returncode, 0)
        self.assertRegex(version.stdout, r"^presenced \d+\.\d+\.\d+")

    def test_doctor(self):
        done = run("--doctor")
        self.assertIn(done.returncode, (0, 69))
        for what in ("huge pages", "locked memory", "vfio", "isolated cores", "processor", "governor", "network card"):
            self.assertIn(what, done.stdout)


if __name__ == "__main__":
    unittest.main(argv=["test_config"])

"""Configurations in the repository load; mistakes end with 78 and file, line and key; other exit codes."""
import os
import pathlib
import re
import tempfile
import unittest

from engine_process import free_port, run

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Config(unittest.TestCase):
    def test_shipped(self):
        shipped = sorted((ROOT / "configs").glob("*.yaml"))
        self.assertGreaterEqual(len(shipped), 3)
        for path in shipped:
            done = run("--config", str(path), "--check-config")
            self.assertEqual((done.returncode, done.stderr), (0, ""), path)

    # The reference is the manual: no key that the program knows is missing.
    def test_reference_names_every_key(self):
        known = set(re.findall(r"\(raw_\w+, (\w+)", (ROOT / "dataplane" / "config_yaml.c").read_text()))
        self.assertGreater(len(known), 40)
        reference = (ROOT / "configs" / "reference.yaml").read_text()
        self.assertEqual({key for key in known if not re.search(rf"(?:^[ #-]*|[{{,] ?){key}:", reference, re.M)}, set())

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
        done = run("--config", str(ROOT))
        self.assertEqual((done.returncode, done.stderr), (66, f"presenced: error: {ROOT}: cannot be read: Is a directory\n"))
        self.assertEqual(run("--no-such-option").returncode, 64)
        for seconds in ("0", "31536001", "4294967297", "-1", "1s"):
            self.assertEqual(run("--duration", seconds, "--check-config").returncode, 64, seconds)
        self.assertEqual(run("stray").returncode, 64)
        version = run("--version")
        self.assertEqual(version.returncode, 0)
        self.assertRegex(version.stdout, r"^presenced \d+\.\d+\.\d+")

    # A keyring that is not there is named with the key that asks for it; spaces in which nobody can do anything are told.
    def test_keyring_that_is_missing(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write("security: {keyring: nonexistent.yaml}\n")
            f.flush()
            for more in ((), ("--check-config",)):
                done = run("--config", f.name, *more)
                self.assertEqual(done.returncode, 66, done.stderr)
                self.assertRegex(done.stderr, rf"^presenced: error: {f.name}: security.keyring: .*nonexistent.yaml: No such file")
        guarded = (f"sources:\n  - socket: {{address: 127.0.0.1, port: {free_port()}}}\n"
                   "spaces:\n  - {id: 6c6f6361-6c00-4000-8000-000000000001, name: yard, kind: cartesian, authorization: first}\n")
        for done in (self.start(guarded, "--check-config"), self.start(guarded)):
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("spaces[0] (yard): its authorization is not open and there is no security.keyring: nobody can publish", done.stderr)

    # Anybody who may write the keyring may make himself whoever he likes: it is said before anything starts.
    def test_keyring_that_everybody_may_write(self):
        with tempfile.TemporaryDirectory() as folder:
            keyring, config = pathlib.Path(folder) / "keyring.yaml", pathlib.Path(folder) / "presenced.yaml"
            (pathlib.Path(folder) / "engine.key").write_text("1" * 64 + "\n")
            (pathlib.Path(folder) / "engine.key").chmod(0o600)
            keyring.write_text("engine: {keys: [{secret_file: engine.key}]}\nprincipals: []\n")
            config.write_text("security: {keyring: keyring.yaml}\n")
            for mode, code in ((0o646, 78), (0o622, 78), (0o644, 0), (0o664, 0)):
                keyring.chmod(mode)
                done = run("--config", str(config), "--check-config")
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertEqual(f"{keyring}: everybody may write it" in done.stderr, code != 0, done.stderr)

    def start(self, text, *more):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(text)
            f.flush()
            return run("--config", f.name, "--duration", "1", *more)

    # A start that cannot be says what it needs, and ends with a code of its own.
    def test_start_failures(self):
        port = "admitted: [10.0.0.0/8]\nsources:\n  - ethdev: {addresses: [10.0.0.1/8], device: \"%s\"%s}\n"
        done = self.start(port % ("net_af_packet0,iface=nonesuch", ""))
        if os.geteuid() == 0:
            self.assertEqual(done.returncode, 69)
            self.assertIn("no such port", done.stderr)
        else:  # what is missing first is the right
            self.assertEqual(done.returncode, 77)
            self.assertIn("setcap cap_net_raw", done.stderr)
        done = self.start("memory: {socket_mem_mb: 16}\n" + port % ("net_null0", ", descriptors: 16384"))
        self.assertEqual(done.returncode, 69)
        self.assertIn("raise memory.socket_mem_mb (16)", done.stderr)
        done = self.start("sources:\n  - socket: {address: 203.0.113.9}\n")
        self.assertEqual(done.returncode, 69)
        self.assertIn("cannot listen on 203.0.113.9:10202", done.stderr)
        done = self.start("workers: {cores: [1023]}\n")
        self.assertEqual(done.returncode, 69)
        self.assertRegex(done.stderr, r"^presenced: error: workers.cores names processor 1023, .* there are \d")
        if "HugePages_Total:       0" in pathlib.Path("/proc/meminfo").read_text():
            done = self.start("memory: {no_huge: false}\n")
            self.assertEqual(done.returncode, 69)
            self.assertIn("sysctl vm.nr_hugepages", done.stderr)

    # A port that never falls silent, with one worker and with three: the end comes all the same, and the counts are exact.
    def test_drain_under_flood(self):
        for workers in (1, 3):
            done = self.start(f"workers: {{count: {workers}}}\nadmitted: [10.0.0.0/8]\nsources:\n"
                              "  - ethdev: {addresses: [10.0.0.1/8], device: \"net_null0,size=64\"}\n")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stderr, r"counter rx_packets [1-9]\d{4,}")
            self.assertRegex(done.stderr, r"packets received (\d+) = refused \1 \+ dropped 0 \+ carried 0, difference 0")

    def test_doctor(self):
        done = run("--doctor")
        self.assertIn(done.returncode, (0, 69))
        for what in ("huge pages", "locked memory", "vfio", "isolated cores", "processor", "governor", "network card"):
            self.assertIn(what, done.stdout)


if __name__ == "__main__":
    unittest.main(argv=["test_config"], verbosity=2)

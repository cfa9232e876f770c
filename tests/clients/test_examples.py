#!/usr/bin/env python3
"""The programs of client/examples against a running presenced, also one that dies and comes back.

    tests/clients/test_examples.py PRESENCED PUBLISH QUERY FOLLOW_AREA BULK_FEED
"""
import pathlib
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import engine_process  # noqa: E402
from engine_process import Engine, free_port  # noqa: E402

YAML = """
workers: {count: 1}
memory: {entities: 5000, socket_mem_mb: 32}
sources:
  - socket: {port: {port}}
"""
PUBLISH, QUERY, FOLLOW, BULK = sys.argv[2:6]
PEOPLE_7 = "70656f70-6c65-0000-0000-000000000007"


def run(program, port, *arguments, expect=0):
    """port: or a URI."""
    uri = port if isinstance(port, str) else f"udp://127.0.0.1:{port}"
    done = subprocess.run([program, uri, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == expect, (program, done)
    return done.stdout + done.stderr


def publish(port, *arguments):
    """A program's incarnation is the second of its start."""
    time.sleep(1.05)
    run(PUBLISH, port, *arguments)


class Follow:
    def __init__(self, port, *arguments):
        self.lines = queue.Queue()
        self.process = subprocess.Popen([FOLLOW, port if isinstance(port, str) else f"udp://127.0.0.1:{port}", *map(str, arguments)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=lambda: [self.lines.put(line.strip()) for line in self.process.stdout], daemon=True)
        self.reader.start()

    def expect(self, *wanted):
        for line in wanted:
            got = self.lines.get(timeout=120)
            assert got == line, (line, got)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(120)
        self.reader.join(60)
        error = self.process.stderr.read()
        assert code == 0 and self.lines.empty(), (code, error, list(self.lines.queue))
        self.process.stdout.close()
        self.process.stderr.close()


def test_publish_and_query():
    with Engine(YAML) as engine:
        assert run(PUBLISH, engine.port, 3, 4) == "APPLIED\n"
        line = run(QUERY, engine.port, 0, 0, 50)
        assert re.fullmatch(PEOPLE_7 + r" +5\.0 m  BUSY, \d+ ms ago\n", line), line
        assert run(QUERY, engine.port, 100, 100, 50) == ""
        # Outside of what a space of this world has: refused as a record, with what to do about it.
        told = run(PUBLISH, engine.port, 1e300, 0, expect=1)
        assert "REFUSED" in told and ";" in told, told
        told = run(QUERY, engine.port, 0, 0, -1, expect=1)
        assert "query_coordinates" in told, told
        counters, identity = engine.stop()
        assert all(value == 0 for (what, name), value in identity.items() if name == "difference"), identity


def test_nobody_there():
    told = run(PUBLISH, free_port(), expect=1)
    assert "nobody listens there; start presenced" in told, told
    told = run(QUERY, free_port(), expect=1)
    assert "nobody listens there" in told, told
    told = run(PUBLISH, "udp://no.such.host.invalid", expect=1)
    assert "cannot resolve no.such.host.invalid" in told and "getent" in told, told
    told = run(PUBLISH, "127.0.0.1", expect=1)
    assert "neither udp:// nor shm://" in told, told
    told = run(PUBLISH, "shm:///no/such/socket", expect=1)
    assert "/no/such/socket" in told, told


def test_shared_memory():
    """The same programs beside an engine whose memory they share."""
    with tempfile.TemporaryDirectory(prefix="presence-ring-") as folder:
        path = folder + "/presence.sock"
        yaml = YAML + f"  - ring: {{path: {path}}}\n"
        config = pathlib.Path(folder) / "ring.yaml"
        config.write_text(yaml.replace("{port}", "10202"))
        if engine_process.run("--config", str(config), "--check-config").returncode:
            print("SKIP shared memory: this engine has no ring sources")
            return
        uri = "shm://" + path
        with Engine(yaml) as engine:
            follow = Follow(uri, 0, 0, 50)
            follow.expect("SNAPSHOT_END")
            assert run(PUBLISH, uri, 3, 4) in ("APPLIED\n", "ACCEPTED\n")
            follow.expect("ENTER " + PEOPLE_7)
            line = run(QUERY, uri, 0, 0, 50)
            assert line.startswith(PEOPLE_7), line
            follow.end()
            told = run(BULK, uri, 1000, 5)
            assert told.startswith("5000 updates in 315 packets"), told
            engine.stop()


def test_bulk_feed():
    with Engine(YAML) as engine:
        told = run(BULK, engine.port, 1000, 5)
        assert told == "5000 updates in 315 packets\n", told
        line = run(QUERY, engine.port, 10, 0, 4.1)
        assert "  4.0 m" in line, line  # the last round's height
        counters, identity = engine.stop()
        # What a socket's buffer had no room for was never received; nothing that was is wrong.
        assert 0 < counters["records_carried"] <= 5000, counters
        assert not any(value for name, value in counters.items() if name.startswith("refused_")), counters


def test_follow_over_restarts():
    port = free_port()
    with Engine(YAML, port=port) as engine:
        follow = Follow(port, 0, 0, 50)
        follow.expect("SNAPSHOT_END")
        publish(port, 3, 4)
        follow.expect("ENTER " + PEOPLE_7)
        publish(port, 300, 4)
        follow.expect("LEAVE " + PEOPLE_7)
        publish(port, 3, 4)
        follow.expect("ENTER " + PEOPLE_7)
        engine.stop(by=signal.SIGKILL)
    # Killed: nothing was said. Who is inside when it is back comes with the snapshot.
    with Engine(YAML, port=port) as engine:
        follow.expect("GAP anew", "SNAPSHOT_END")
        publish(port, 3, 4)
        follow.expect("ENTER " + PEOPLE_7)
        engine.stop()
    # Ended in order: its last word was heard, and it is asked until it is back.
    follow.expect("GAP anew")
    with Engine(YAML, port=port) as engine:
        follow.expect("SNAPSHOT_END")
        publish(port, 3, 4)
        follow.expect("ENTER " + PEOPLE_7)
        follow.end()
        counters, identity = engine.stop()
        assert all(value == 0 for (what, name), value in identity.items() if name == "difference"), identity


for name, case in list(globals().items()):
    if name.startswith("test_"):
        case()
        print("ok", name[5:].replace("_", " "))

#!/usr/bin/env python3
"""presencectl watch against a running presenced: what it prints, how it ends, and that the engine is left without its subscriptions.

    tests/e2e/test_watch_tools.py PRESENCED PRESENCECTL
"""
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from engine_process import Engine, free_port

YAML = """
workers: {count: 1}
memory: {entities: 5000, socket_mem_mb: 32}
sources:
  - socket: {port: {port}}
"""
CTL = sys.argv[2]
WAIT = 60


class Watch:
    """A running presencectl watch; its lines as they come."""

    def __init__(self, port, *arguments, json_lines=True, stdin=None):
        command = [CTL, "-p", str(port), "watch", *arguments] + (["--json"] if json_lines else [])
        self.json_lines, self.lines = json_lines, queue.Queue()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE if stdin else None, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        if stdin:
            self.process.stdin.write(stdin)
            self.process.stdin.close()
        self.reader = threading.Thread(target=lambda: [self.lines.put(line) for line in self.process.stdout], daemon=True)
        self.reader.start()

    def line(self, seconds=WAIT):
        text = self.lines.get(timeout=seconds)
        return json.loads(text) if self.json_lines else text.rstrip("\n")

    def end(self, by=signal.SIGINT, expect=0):
        """A signal; the lines that were left."""
        if by:
            self.process.send_signal(by)
        code = self.process.wait(WAIT)
        self.reader.join(WAIT)
        error = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        assert code == expect, (code, error)
        rest = []
        while not self.lines.empty():
            rest.append(self.line())
        return rest


def ctl(port, *arguments, expect=0):
    done = subprocess.run([CTL, "-j", "-t", "20s", "-p", str(port), *arguments], capture_output=True, text=True, timeout=WAIT)
    assert done.returncode == expect, (arguments, done)
    return json.loads(done.stdout) if done.stdout else None


def publish(port, name, place, *more):
    assert ctl(port, "publish", name, place, "--ttl", "10m", *more)["records"][0]["status"] in ("APPLIED", "ACCEPTED", "COALESCED")


def last(e):
    return e["entity"]["id"][-2:]


def through(port):
    publish(port, "test:1", "1,2,3")
    publish(port, "test:2", "-500,0,0", "--state", "busy")
    w = Watch(port, "sphere", "0,0", "100", "--moves")
    first, end = w.line(), w.line()
    assert (first["event"], last(first), first["snapshot"], first["fence"], first["sequence"]) == ("ENTER", "01", True, 1, 1), first
    assert first["entity"]["position"] == [1, 2, 3] and first["cause"] == "" and not first["corrected"], first
    assert abs(first["time_ms"] / 1000 - time.time()) < 2 * WAIT and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert end["event"] == "SNAPSHOT_END" and "entity" not in end, end
    publish(port, "test:2", "-50,0,0", "--state", "busy")
    e = w.line()
    assert (e["event"], last(e), e["snapshot"], e["entity"]["state"]) == ("ENTER", "02", False, "BUSY"), e
    publish(port, "test:2", "-40,0,0")
    e = w.line()
    assert (e["event"], last(e)) == ("MOVE", "02") and abs(e["entity"]["position"][0] + 40) < 0.01, e
    publish(port, "test:2", "-400,0,0")
    e = w.line()
    assert (e["event"], last(e), e["cause"]) == ("LEAVE", "02", "moved"), e
    ctl(port, "withdraw", "test:1")
    e = w.line()
    assert (e["event"], last(e), e["cause"], e["sequence"]) == ("LEAVE", "01", "gone", 6), e
    w.end()
    # In words, and ended by time.
    publish(port, "test:1", "1,2,3")
    w = Watch(port, "box", "-10,-10,-10", "10,10,10", "--for", "3s", json_lines=False)
    line, end = w.line(), w.line()
    assert re.fullmatch(r"\S+Z  ENTER +fence 1 +\S*01 +1\.0+ +2\.0+ +3\.00  snapshot", line), line
    assert re.fullmatch(r"\S+Z  SNAPSHOT_END +", end), end
    w.end(by=None)
    # The reader goes away.
    gone = subprocess.Popen([CTL, "-p", str(port), "watch", "sphere", "0,0", "100"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    gone.stdout.readline()
    gone.stdout.close()
    publish(port, "test:9", "3,3")
    assert gone.wait(WAIT) == 74, gone.returncode
    ctl(port, "withdraw", "test:9")


def explained(port):
    publish(port, "test:1", "1,2,3")
    publish(port, "test:2", "110,0,0")
    w = Watch(port, "sphere", "0,0", "100", "--margin", "20", "--id", "77", "--leave", "1h", "--filter", "state = active")
    assert [w.line()["event"] for _ in range(2)] == ["ENTER", "SNAPSHOT_END"]

    def why(name, *more):
        return ctl(port, "explain", name, "--subscription", "77", *more)

    told = why("test:1")
    assert told["verdict"] == "in" and told["causes"] == [] and told["edge_m"] == 100 and told["position"] == [1, 2, 3], told
    told = why("test:2", "--fence", "1")
    assert told["verdict"] == "out" and told["causes"] == ["VOLUME", "MARGIN"] and told["beyond_m"] == 10, told
    begin = time.monotonic()
    publish(port, "test:1", "1,2,3", "--state", "busy")
    told = why("test:1")
    assert told["verdict"] == "in" and told["causes"] == ["FILTER", "LEAVING"], told
    assert 3599000 - 1000 * (time.monotonic() - begin) < told["due_ms"] <= 3600000, told
    text = subprocess.run([CTL, "-p", str(port), "explain", "test:1", "--subscription", "77"], capture_output=True, text=True,
                          timeout=WAIT).stdout
    assert "is in the fence" in text and "step 1" in text and "it leaves in 3" in text, text
    assert why("test:99")["causes"] == ["UNKNOWN"]
    ctl(port, "explain", "test:1", "--subscription", "77", "--fence", "2", expect=65)
    ctl(port, "explain", "test:1", "--fence", "1", expect=64)
    ctl(port, "explain", "test:1", "--subscription", "77", "sphere", "0,0", "10", expect=64)
    w.end()
    ctl(port, "withdraw", "test:1")
    ctl(port, "withdraw", "test:2")


def payloads(port):
    publish(port, "test:1", "1,2,3", "--payload", "not yet")
    w = Watch(port, "sphere", "0,0", "100", "--payloads")
    silent = Watch(port, "sphere", "0,0", "100")
    for each in (w, silent):
        assert [each.line()["event"] for _ in range(2)] == ["ENTER", "SNAPSHOT_END"]
    publish(port, "test:1", "1,2,3", "--payload", "hello")
    e = w.line()
    assert (e["event"], last(e), e["fence"], e["payload"], e["cause"]) == ("PAYLOAD", "01", 1, "hello", ""), e
    publish(port, "test:2", "500,0,0", "--payload", "outside")
    long = "".join(chr(33 + i % 90) for i in range(512))
    publish(port, "test:2", "50,0,0", "--payload", long)
    e = w.line()
    assert (e["event"], last(e)) == ("ENTER", "02"), e
    e = w.line()
    assert (e["event"], last(e), e["payload"]) == ("PAYLOAD", "02", long), e
    publish(port, "test:1", "1,2,3", "--payload", "\u00e9\n")
    e = w.line()
    assert (e["event"], last(e), e["payload"]) == ("PAYLOAD", "01", {"bytes": "c3a90a"}), e
    assert w.end() == []
    assert silent.line()["event"] == "ENTER" and silent.end() == []
    w = Watch(port, "sphere", "0,0", "10", "--payloads", json_lines=False)
    w.line(), w.line()
    publish(port, "test:1", "1,2,3", "--payload", "hello")
    line = w.line()
    assert re.fullmatch(r'\S+Z  PAYLOAD +fence 1 +\S*01  "hello"', line), line
    publish(port, "test:1", "1,2,3", "--payload", "\t")
    line = w.line()
    assert line.endswith('  x"09"'), line
    w.end()
    ctl(port, "withdraw", "test:1")
    ctl(port, "withdraw", "test:2")


def rules(port):
    publish(port, "test:1", "0,0,0")
    publish(port, "test:2", "30,0,0", "--type", "static")
    with tempfile.NamedTemporaryFile("w", suffix=".fences") as file:
        file.write("# the yard\n\n"
                   "10 sphere -1,0 50 --filter \"type = static\"   # a quoted word\n"
                   "20 --polygon '-10,-10 10,-10 10,10 -10,10' --margin 5\n"
                   "30 --follow test:1 sphere 100\n")
        file.flush()
        w = Watch(port, "--fences", file.name)
        seen = set()
        while True:
            e = w.line()
            if e["event"] == "SNAPSHOT_END" and len(seen) == 3:
                break
            if e["event"] == "ENTER":
                seen.add((e["fence"], last(e)))
        assert seen == {(10, "02"), (20, "01"), (30, "02")}, seen
        publish(port, "test:1", "14,0,0")  # in the margin
        publish(port, "test:1", "16,0,0")
        e = w.line()
        assert (e["event"], e["fence"], last(e), e["cause"]) == ("LEAVE", 20, "01", "moved"), e
        publish(port, "test:1", "600,0,0")
        e = w.line()
        assert (e["event"], e["fence"], last(e)) == ("LEAVE", 30, "02"), e
        w.end(by=signal.SIGTERM)
    w = Watch(port, "--fences", "-", stdin="5 sphere 600,0 20\n")
    e = w.line()
    assert (e["event"], e["fence"], last(e)) == ("ENTER", 5, "01"), e
    w.end()
    # Dwell times: not before.
    publish(port, "test:1", "0,0,0")
    w = Watch(port, "sphere", "300,0", "20", "--enter", "500ms", "--leave", "200ms")
    assert w.line()["event"] == "SNAPSHOT_END"
    begin = time.time()
    publish(port, "test:1", "300,0,0")
    e = w.line()
    assert e["event"] == "ENTER" and e["time_ms"] / 1000 - begin > 0.45, (e, begin)
    w.end()


def mistakes(port):
    for arguments in (["point", "1,2"], ["sphere", "1,2"], [], ["--follow", "test:1", "box", "1,1", "2,2"], ["sphere", "1,2", "3", "--for", "x"],
                      ["sphere", "0,0", "5", "--priority", "some"], ["sphere", "0,0", "5", "--margin", "-1"],
                      ["--fences", "/dev/null", "sphere", "0,0", "1"], ["sphere", "0,0", "5", "--filter", "type ="]):
        ctl(port, "watch", *arguments, expect=64)
    ctl(port, "watch", "--fences", "/nowhere/at/all", expect=66)
    ctl(port, "watch", "--fences", "/dev/null", expect=66)
    with tempfile.NamedTemporaryFile("w") as file:
        for text, line in (("x sphere 0,0 5\n", 1), ("1 sphere 0,0 5\n2 sphere 0,0\n", 2), ("1 sphere '0,0 5\n", 1), ("1\n", 1)):
            file.seek(0)
            file.truncate()
            file.write(text)
            file.flush()
            done = subprocess.run([CTL, "-p", str(port), "watch", "--fences", file.name], capture_output=True, text=True, timeout=WAIT)
            assert done.returncode == 64 and f"{os.path.basename(file.name)}:{line}" in done.stderr, done
        # The engine says which fence it won't have.
        file.seek(0)
        file.truncate()
        file.write("1 sphere 0,0 5\n7 --polygon '0,0 10,10 10,0 0,10'\n")
        file.flush()
        refused = ctl(port, "watch", "--fences", file.name, expect=65)
        assert refused["what"] == "watch: fence 7", refused
    nobody = subprocess.run([CTL, "-p", str(free_port()), "-t", "50ms", "-a", "2", "watch", "sphere", "0,0", "5"], capture_output=True,
                            text=True, timeout=WAIT)
    assert nobody.returncode == 69, nobody


def engine_ends():
    """The engine ends, or is started again: the watch says so and ends."""
    with Engine(YAML) as e:
        w = Watch(e.port, "sphere", "0,0", "5")
        assert w.line()["event"] == "SNAPSHOT_END"
        e.stop()
        last_line = w.line()
        assert (last_line["event"], last_line["cause"]) == ("ENDED", "engine"), last_line
        w.end(by=None, expect=69)
    with Engine(YAML) as e:
        publish(e.port, "test:1", "0,0,0")
        w = Watch(e.port, "sphere", "0,0", "5")
        assert w.line()["event"] == "ENTER" and w.line()["event"] == "SNAPSHOT_END"
        e.process.kill()
        e.process.wait()
        port = e.port
    with Engine(YAML, port=port) as e:
        last_line = w.line()
        assert (last_line["event"], last_line["cause"]) == ("ENDED", "unknown"), last_line
        w.end(by=None, expect=69)
        e.stop()


def main():
    with Engine(YAML) as e:
        through(e.port)
        explained(e.port)
        payloads(e.port)
        rules(e.port)
        mistakes(e.port)
        answer = ctl(e.port, "stats")
        assert not any(answer["differences"].values()), answer["differences"]
        stats = answer["counters"]
        assert stats["subscriptions_opened"] == stats["subscriptions_ended"] > 5, stats
        assert stats["fences_added"] == stats["fences_removed"], stats
        e.stop()
        assert e.exit == 0, e.log
    engine_ends()


if __name__ == "__main__":
    main()

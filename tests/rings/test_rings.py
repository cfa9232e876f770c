#!/usr/bin/env python3
"""presenced with a ring source, and the tools over it: attach, publish, ask, watch, load; a second engine at the same path; what a crash leaves; an engine
that is killed and started again under tools that stay.

    tests/rings/test_rings.py PRESENCED PRESENCECTL PRESENCE_LOAD
"""
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import engine_process  # noqa: E402
from engine_process import PATIENCE, Engine, eventually  # noqa: E402

YAML = """
workers: {{count: {workers}, idle: {idle}}}
memory: {{entities: 60000, details_mb: 4, no_huge: true, socket_mem_mb: 64}}
sources:
  - socket: {{address: 127.0.0.1, port: {{port}}}}
  - ring: {{path: {path}, clients: 8, ring_kb: {kb}}}
"""


class Tools:
    def __init__(self, ctl, load, uri):
        self.ctl_path, self.load_path, self.uri = ctl, load, uri

    def ctl(self, *arguments, expect=0, uri=None):
        done = subprocess.run([self.ctl_path, "--json", "--timeout", "20s", "--uri", uri or self.uri, *arguments], capture_output=True, text=True,
                              timeout=2 * PATIENCE)
        assert done.returncode == expect, f"presencectl {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout else done.stderr

    def load(self, *arguments):
        done = subprocess.run([self.load_path, "-j", "-q", "--uri", self.uri, *arguments], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


class Watch:
    """presencectl watch; its lines as they come."""

    def __init__(self, tools, *arguments):
        self.lines = []
        self.process = subprocess.Popen([tools.ctl_path, "--json", "--uri", tools.uri, "watch", *arguments], stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def wait(self, wanted):
        eventually(lambda: any(wanted(line) for line in list(self.lines)), lambda: f"not told: {self.lines}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)


def by_hand(tools):
    assert tools.ctl("ping")["round_trip_us"] > 0
    acked = tools.ctl("publish", "test:1", "-5,6,7", "--ttl", "10m")["records"][0]
    assert acked["status"] in ("APPLIED", "ACCEPTED"), acked
    found = eventually(lambda: tools.ctl("query", "sphere", "0,0,0", "20")["found"])
    assert [f["position"] for f in found] == [[-5, 6, 7]], found
    watch = Watch(tools, "sphere", "0,0,0", "20")
    watch.wait(lambda e: "ENTER" in json.dumps(e))
    tools.ctl("withdraw", "test:1")
    watch.wait(lambda e: "LEAVE" in json.dumps(e))
    watch.stop()
    # Wrong URIs, and a path where nobody listens: said in words.
    assert "understood are" in tools.ctl("ping", uri="tcp://x", expect=64)
    assert "presenced running" in tools.ctl("ping", uri="shm:///nowhere/p.sock", expect=69)


def loads(tools):
    got = tools.load("--walkers", "20000", "--rate", "50000", "--queries", "200", "--for", "3s", "--query-timeout", "20s")
    assert got["accounting_difference"] == 0, got
    assert got["answers"] == got["queries"] and got["lost"] == 0, got
    assert got["malformed_replies"] == 0, got


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def one_engine(tools, path, workers, idle):
    # Room for what comes while the tools stand still: nothing is lost then either.
    yaml = YAML.format(workers=workers, idle=idle, path=path, kb=4096)
    with Engine(yaml) as engine:
        mode = os.stat(path)
        assert stat.S_ISSOCK(mode.st_mode) and stat.S_IMODE(mode.st_mode) == 0o660, oct(mode.st_mode)
        before = descriptors(engine.process.pid)
        by_hand(tools)
        loads(tools)
        # Nobody takes the place of an engine that listens.
        second = engine_process.run("--config", str(engine.config), timeout=60)
        assert second.returncode != 0, second.stderr
        eventually(lambda: descriptors(engine.process.pid) == before, lambda: (descriptors(engine.process.pid), before))
        counters, identity = engine.stop()
        assert engine.exit == 0, engine.log
        for what in ("packets", "records", "queries", "subscribes"):
            assert identity[what, "difference"] == 0, engine.log
        # Last words to who has gone are all that is not delivered.
        assert counters.get("tx_dropped", 0) <= counters["subscriptions_ended"] and " ring_full " not in engine.log, engine.log
    assert not os.path.exists(path)


FERRY, GUEST = "0fe77900-0000-4000-8000-000000000001", "0fe77900-0000-4000-8000-000000000002"
SPACE = "6c6f6361-6c00-4000-8000-000000000001"
KEYRING = """
engine: {{keys: [{{secret_file: engine.key}}]}}
principals:
  - {{id: {ferry}, name: ferry, uids: [{ferry_uid}], grants: [{{allow: [publish, query, subscribe]}}]}}
  - {{id: {guest}, name: guest, uids: [{guest_uid}], grants: [{{allow: [query]}}]}}
"""
SPACES = f"""
security: {{{{keyring: {{keyring}}}}}}
spaces:
  - {{{{id: {SPACE}, name: local, kind: cartesian, authorization: first}}}}
"""


def users(tools, path, folder):
    """A user is who the keyring says, and who it says when it is read again; those who are attached are let go then, and come back as that."""
    keyring, nobody = f"{folder}/keyring.yaml", 4_000_000_000

    def write(ferry_uid, guest_uid):
        with open(f"{keyring}.new", "w", encoding="utf-8") as file:
            file.write(KEYRING.format(ferry=FERRY, guest=GUEST, ferry_uid=ferry_uid, guest_uid=guest_uid))
        os.rename(f"{keyring}.new", keyring)

    def publish(expect):
        done = subprocess.run([tools.ctl_path, "--json", "--uri", tools.uri, "publish", "test:9", "1,2,3", "--ttl", "10m"], capture_output=True,
                              text=True, timeout=PATIENCE)
        assert expect in done.stdout + done.stderr, done

    subprocess.run([tools.ctl_path, "keygen", f"{folder}/engine.key"], check=True, capture_output=True)
    write(os.getuid(), nobody)
    yaml = YAML.format(workers=1, idle="sleep", path=path, kb=256) + SPACES.format(keyring=keyring)
    with Engine(yaml) as engine:
        assert tools.ctl("ping")["known_as"] == FERRY
        publish("APPLIED")
        watch = Watch(tools, "sphere", "0,0,0", "20")
        watch.wait(lambda e: "ENTER" in json.dumps(e))
        for ferry_uid, guest_uid, who, outcome in ((nobody, os.getuid(), GUEST, "UNAUTHORIZED"), (nobody - 1, nobody, None, "UNAUTHORIZED"),
                                                   (os.getuid(), nobody, FERRY, "APPLIED")):
            before = sum("was read again" in line for line in engine.lines)
            write(ferry_uid, guest_uid)
            engine.process.send_signal(signal.SIGHUP)
            eventually(lambda: sum("was read again" in line for line in list(engine.lines)) > before, lambda: engine.log)
            assert tools.ctl("ping").get("known_as") == who, who
            publish(outcome)
        # Who watched was let go with the first change: what it had is over, or began anew.
        watch.stop()
        _, identity = engine.stop()
        assert engine.exit == 0, engine.log
        for what in ("packets", "records", "queries", "subscribes"):
            assert identity[what, "difference"] == 0, engine.log
        changed = [line for line in engine.lines if " user_changed " in line]
        assert changed and int(changed[0].split()[-1]) >= 1, engine.log
    yaml = yaml.replace("ring_kb: 256", "ring_kb: 256, known_only: true")
    write(nobody, nobody - 1)
    with Engine(yaml) as engine:
        done = subprocess.run([tools.ctl_path, "--uri", tools.uri, "ping"], capture_output=True, text=True, timeout=60)
        assert done.returncode != 0 and "not admitted" in done.stderr, done
        engine.stop()


def again(tools, path):
    """Killed under eight watchers, started again: each is told of the gap or the end, and what is left in the folder is no obstacle."""
    yaml = YAML.format(workers=1, idle="sleep", path=path, kb=256)
    with Engine(yaml) as engine:
        load = subprocess.Popen([tools.load_path, "-j", "-q", "--uri", tools.uri, "--walkers", "1000", "--rate", "5000", "--ack", "0.2"],
                                stdout=subprocess.PIPE, text=True)

        def all_there():
            return tools.ctl("query", "sphere", "0,0,0", "1000000")["count"] > 900

        eventually(all_there)
        engine.process.kill()
        engine.process.wait(PATIENCE)
        assert os.path.exists(path)
        with Engine(yaml) as another:
            eventually(all_there)
            eventually(lambda: tools.ctl("stats")["counters"]["records_carried"] > 3000)
            load.send_signal(signal.SIGINT)
            load.communicate(timeout=2 * PATIENCE)
            _, identity = another.stop()
            assert identity["packets", "received"] > 100, another.log
            assert identity["packets", "difference"] == 0 and identity["records", "difference"] == 0, another.log


def main(_, ctl, load):
    with tempfile.TemporaryDirectory(prefix="presence-rings-") as folder:
        path = f"{folder}/p.sock"
        tools = Tools(ctl, load, f"shm://{path}")
        for workers, idle in ((1, "sleep"), (2, "pause")):
            one_engine(tools, path, workers, idle)
        users(tools, path, folder)
        again(tools, path)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])

#!/usr/bin/env python3
"""Packed answers end to end: presencectl finds the same with and without, in fewer datagrams, in the clear and in sessions that sign and encrypt; also
cells. test_packed.py PRESENCED PRESENCECTL BULK_FEED [sealed]"""
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from engine_process import Engine  # noqa: E402

CTL, BULK = sys.argv[2:4]
YAML = """
workers: {count: 1}
memory: {entities: 20000, socket_mem_mb: 32}
sources:
  - socket: {port: {port}}
"""


KEYRING = """
engine: {keys: [{secret_file: engine.key}]}
principals:
  - {id: 00000000-0000-4000-8000-00000000000a, keys: [{public_key: @key@}], grants: [{allow: [publish, query]}]}
"""


def ctl(port, *words):
    run = subprocess.run([CTL, "-p", str(port), "--json", "--timeout", "20s", *words], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run
    return json.loads(run.stdout)


def keygen(path):
    return subprocess.run([CTL, "keygen", str(path)], capture_output=True, text=True, timeout=120, check=True).stdout.strip()


def same(answer, other):
    """But for the ages and what is left, which go on."""
    def rows(a):
        return [{n: v for n, v in row.items() if n not in ("age_ms", "ttl_left_ms", "newest_age_ms")} for row in a.get("found") or a["cells"]]
    assert len(rows(answer)) > 100 and rows(answer) == rows(other), (len(rows(answer)), len(rows(other)))


def sealed(folder):
    engine_key, own = keygen(folder / "engine.key"), keygen(folder / "own.key")
    (folder / "keyring.yaml").write_text(KEYRING.replace("@key@", own))
    with Engine(YAML.rstrip("\n").replace("{port: {port}}", "{port: {port}, level: none}") +
                f"\nsecurity: {{keyring: {folder}/keyring.yaml, sessions: 64, connects_per_second: 0}}\n") as engine:
        for _ in range(5):
            subprocess.run([BULK, f"udp://127.0.0.1:{engine.port}", "3000", "1"], check=True, capture_output=True, timeout=120)
        for what in (["sphere", "0,0,0", "5000"], ["--brief", "sphere", "0,0,0", "5000"], ["--cells", "8m", "sphere", "0,0,0", "5000"]):
            plain = ctl(engine.port, "query", *what)
            for level in ("sign", "encrypt"):
                words = ["--key", str(folder / "own.key"), "--engine-key", engine_key, "--level", level]
                before = ctl(engine.port, "stats", "--all")["counters"]
                unpacked = ctl(engine.port, *words, "query", *what)
                between = ctl(engine.port, "stats", "--all")["counters"]
                packed = ctl(engine.port, *words, "--pack", "query", *what)
                after = ctl(engine.port, "stats", "--all")["counters"]
                same(plain, unpacked)
                same(plain, packed)
                sent, sent_packed = (b["tx_packets"] - a["tx_packets"] for a, b in ((before, between), (between, after)))
                assert between["tx_packed"] == before["tx_packed"] < after["tx_packed"], (before["tx_packed"], between["tx_packed"], after["tx_packed"])
                assert sent_packed < sent, (sent, sent_packed)
                print("ok sealed,", level, what[0], sent, "datagrams,", sent_packed, "packed")
        engine.stop()
        assert engine.exit == 0, engine.log


with Engine(YAML) as engine:
    # A socket may have no room for all at once; what is there is asked for twice, and doesn't move.
    for _ in range(5):
        subprocess.run([BULK, f"udp://127.0.0.1:{engine.port}", "3000", "1"], check=True, capture_output=True, timeout=120)
    sent = []
    for words in ([], ["--pack"]):
        before = ctl(engine.port, "stats", "--all")["counters"]
        answer = ctl(engine.port, *words, "query", "sphere", "0,0,0", "5000")
        after = ctl(engine.port, "stats", "--all")["counters"]
        sent.append((answer, {n: after[n] - before[n] for n in ("tx_packets", "tx_packed")}))
    (plain, plain_sent), (packed, packed_sent) = sent
    ids = [[r["id"] for r in a["found"]] for a in (plain, packed)]
    assert len(ids[0]) > 2000 and ids[0] == ids[1], (len(ids[0]), len(ids[1]))
    assert plain_sent["tx_packed"] == 0 < packed_sent["tx_packed"], sent[1][1]
    assert packed_sent["tx_packets"] < 0.75 * plain_sent["tx_packets"], (plain_sent, packed_sent)
    print("plain", plain_sent, "packed", packed_sent)
    print("ok the same in fewer datagrams")
    engine.stop()
if "sealed" in sys.argv[4:]:
    with tempfile.TemporaryDirectory(prefix="presence-packed-") as name:
        sealed(pathlib.Path(name))

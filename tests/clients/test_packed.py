#!/usr/bin/env python3
"""Packed answers end to end: presencectl finds the same with and without, in fewer datagrams. test_packed.py PRESENCED PRESENCECTL BULK_FEED"""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from engine_process import Engine  # noqa: E402

CTL, BULK = sys.argv[2:4]
YAML = """
workers: {count: 1}
memory: {entities: 20000, socket_mem_mb: 32}
sources:
  - socket: {port: {port}}
"""


def ctl(port, *words):
    run = subprocess.run([CTL, "-p", str(port), "--json", "--timeout", "2s", *words], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run
    return json.loads(run.stdout)


with Engine(YAML) as engine:
    # A socket may have no room for all at once; what is there is asked for twice, and doesn't move.
    for _ in range(5):
        subprocess.run([BULK, f"udp://127.0.0.1:{engine.port}", "3000", "1"], check=True, capture_output=True, timeout=60)
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

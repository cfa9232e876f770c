#!/usr/bin/env python3
"""What policies make of places and of counts, from a configuration to what the tools print: entities that may be counted only come in no
answer but in counts, and where there are few as such; a registered method's places; and a watch that asks for more than it may see is told so.

    tests/e2e/test_anonymous.py PRESENCED PRESENCECTL
"""
import json
import subprocess
import sys

import presence_client as pc
import sealed_client as sc
from engine_process import PATIENCE, Engine, eventually

YAML = """
memory: {entities: 5000, socket_mem_mb: 32}
sources:
  - socket: {address: 127.0.0.1, port: {port}}
security: {keyring: {keyring}, sessions: 64, connects_per_second: 200, connects_burst: 200}
views:
  policies:
    - {name: counted, space: local, id_prefix: c7, everyone: true, counts_below: 3, counts_cell_m: 512}
    - {name: scattered, space: local, id_prefix: d8, everyone: true, method: {name: scatter, first: 100, second: 1}}
"""
NAMES = ("ferries", "drones", "gulls")


def main(presencectl):
    keys = sc.Keys(NAMES)
    with Engine(YAML.replace("{keyring}", str(keys.path))) as engine:
        def run(*arguments, expect=0):
            done = subprocess.run([presencectl, "-p", str(engine.port), "-t", "20s", *arguments], capture_output=True, text=True, timeout=PATIENCE)
            assert done.returncode == expect, (arguments, done)
            return done.stdout

        def ctl(*arguments):
            return json.loads(run("-j", *arguments))

        clients = {name: sc.Client("127.0.0.1", engine.port) for name in NAMES}
        for name, client in clients.items():
            client.connect(keys, name)
        for n in range(9):
            # All three by the origin; two of them in the next cell.
            name = NAMES[n % 3] if n < 6 else NAMES[n % 2]
            record = pc.update(bytes([0xC7]) + bytes(14) + bytes([n + 1]), (10.0 + n if n < 6 else 600.0, 5.0, 0.0), 1, 600000)
            scattered = pc.update(bytes([0xD8]) + bytes(14) + bytes([n + 1]), (2010.0, 2020.0, 0.0), 1, 600000)
            row = clients[name].updates([record, scattered])
            assert all(r[0] in (pc.APPLIED, pc.ACCEPTED) for r in row), row

        def in_cells():
            return {tuple(c["centre"][:2]): c for c in ctl("heat", "sphere", "0,0", "1000", "--cells", "8")["cells"]}

        eventually(lambda: set(in_cells()) == {(256, 256), (768, 256)}, in_cells)
        assert ctl("query", "sphere", "0,0", "1000")["count"] == 0
        cells = in_cells()
        assert cells[256, 256]["count"] == 6 and "below" not in cells[256, 256], cells
        assert cells[768, 256]["count"] == 0 and cells[768, 256]["below"] == 3 and cells[768, 256]["below_cells"] == 1, cells
        table = run("heat", "sphere", "0,0", "1000", "--cells", "64")
        assert " 6 " in table and " <3 " in table, table
        # The sum of larger ones.
        table = run("heat", "box", "0,0,-1", "1000,1000,1", "--cells", "4096")
        assert " 6,<3 " in table, table
        found = ctl("query", "sphere", "2000,2000", "1000")["found"]
        assert len(found) == 9, found
        places = {tuple(f["position"][:2]) for f in found}
        assert len(places) == 9 and all(2000 <= x <= 2100 and 2000 <= y <= 2100 for x, y in places), places
        said = run("watch", "sphere", "0,0", "50", "--for", "1s")
        assert "COARSER" in said and "100 m" in said, said
        lines = [json.loads(line) for line in run("-j", "watch", "sphere", "0,0", "500", "--margin", "20", "--for", "1s").splitlines()]
        assert [line["published_m"] for line in lines if line["event"] == "COARSER"] == [100], lines
        assert "COARSER" not in run("watch", "sphere", "0,0", "150", "--for", "300ms")
        counters = ctl("stats")["counters"]
        assert counters.get("method_failed", 0) == 0, counters
        engine.stop()
    keys.close()
    assert engine.exit == 0, engine.log


if __name__ == "__main__":
    main(sys.argv[2])

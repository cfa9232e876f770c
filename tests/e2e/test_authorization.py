#!/usr/bin/env python3
"""Rules of spaces as a configuration states them, by hand: a space that is not open refuses who shows nobody to be, and counts it; one that
limits speeds quarantines a jump and believes the second word of it; the accounts agree.

    tests/e2e/test_authorization.py PRESENCED PRESENCECTL
"""
import json
import subprocess
import sys
import time

from engine_process import PATIENCE, Engine, eventually

CLOSED = "6c6f6361-6c00-4000-8000-00000000000c"
SLOW = "6c6f6361-6c00-4000-8000-00000000000d"
CONFIG = f"""
sources: [socket: {{port: {{port}}}}]
spaces:
  - {{id: {CLOSED}, name: closed, kind: cartesian, authorization: keyring, ttl_default_ms: 600000}}
  - {{id: {SLOW}, name: slow, kind: cartesian, speed_max_mobile_mps: 50, ttl_default_ms: 600000}}
"""


def main(presencectl):
    with Engine(CONFIG) as engine:
        def ctl(space, *arguments, expect=0):
            done = subprocess.run([presencectl, "-j", "-p", str(engine.port), "-t", "20s", "-s", space, *arguments], capture_output=True, text=True,
                                  timeout=PATIENCE)
            assert done.returncode == expect, (arguments, done)
            return json.loads(done.stdout)

        eventually(lambda: subprocess.run([presencectl, "-p", str(engine.port), "-t", "100ms", "-a", "1", "ping"], capture_output=True).returncode == 0)
        assert ctl(CLOSED, "publish", "test:1", "1,1", expect=65)["records"][0]["reason"] == "role"
        assert ctl(CLOSED, "withdraw", "test:1", expect=65)["records"][0]["reason"] == "role"
        assert ctl(CLOSED, "query", "sphere", "0,0", "10", expect=77)["reason"] == "query_role"
        assert ctl(CLOSED, "explain", "test:1", "sphere", "0,0", "10", expect=77)["reason"] == "query_role"
        assert ctl(CLOSED, "erase", "test:1", expect=77)["reason"] == "role"
        # Nobody runs five kilometres in a second or two, the first time.
        assert ctl(SLOW, "publish", "test:2", "0,0")["records"][0]["status"] == "APPLIED"
        assert ctl(SLOW, "publish", "test:2", "5000,0", expect=65)["records"][0]["reason"] == "implausible"
        assert ctl(SLOW, "query", "sphere", "0,0", "10")["count"] == 1
        time.sleep(0.01)
        assert ctl(SLOW, "publish", "test:2", "5000,0")["records"][0]["status"] == "APPLIED"
        assert ctl(SLOW, "query", "sphere", "5000,0", "10")["count"] == 1
        # It is said to be moved by who is trusted, and has gone a moment later.
        assert ctl(SLOW, "publish", "test:2", "0,0", "--relocation")["records"][0]["status"] in ("APPLIED", "ACCEPTED")
        assert ctl(SLOW, "erase", "test:2")["where"][0] == "record"
        stats = ctl(SLOW, "stats")
        counters = stats["counters"]
        assert stats["differences"] == {"packets": 0, "records": 0, "queries": 0, "subscribes": 0}, stats["differences"]
        assert counters["refused_role"] == 3 and counters["refused_query_role"] == 2 and counters["refused_implausible"] == 1, counters
        assert counters["believed"] == 1 and counters["erased"] == 1 and counters["carried_erase"] == 2, counters
        engine.stop()
    assert engine.exit == 0, engine.log


if __name__ == "__main__":
    main(sys.argv[2])

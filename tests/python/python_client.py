"""What the tests of the Python package share: the package on the path, an engine as scripts/demo starts it, and a runner."""
import asyncio
import logging
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "client" / "python"), str(ROOT / "tests" / "e2e")]

import engine_process  # noqa: E402, F401
from engine_process import Engine, free_port, skip  # noqa: E402, F401

# The built-in spaces, in which what is said is kept for longer: a machine that stands still for a minute is no reason to fail.
PATIENT = """
spaces:
  - {id: 6c6f6361-6c00-4000-8000-000000000001, name: local, kind: cartesian, ttl_default_ms: 600000}
  - {id: 776f726c-6400-4000-8000-000000000001, name: world, kind: geodetic, worldwide: true, ttl_default_ms: 600000}
"""
# The built-in configuration but for its port, which another engine may have.
BUILT_IN = "sources: [{socket: {address: 127.0.0.1, port: {port}}}]\n"


def engine(more="", **options):
    return Engine(BUILT_IN + more, **options)


async def eventually(what, seconds=60.0):
    """Until what() is true (or awaited to be). By turns and not by the clock, so that a machine that stands still is not taken for a failure."""
    for _ in range(round(engine_process.patience(seconds) / 0.02)):
        told = what()
        if asyncio.iscoroutine(told):
            told = await told
        if told:
            return told
        await asyncio.sleep(0.02)
    engine_process.gave_up()
    raise AssertionError(f"not within {seconds} s")


def main(name):
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    unittest.main(argv=[name], verbosity=2)

"""What the tests of the Python package share: the package on the path, an engine as scripts/demo starts it, and a runner."""
import asyncio
import logging
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "client" / "python"), str(ROOT / "tests" / "e2e")]

from engine_process import Engine, free_port, skip  # noqa: E402, F401

# The built-in configuration but for its port, which another engine may have.
BUILT_IN = "sources: [{socket: {address: 127.0.0.1, port: {port}}}]\n"


def engine(more="", **options):
    return Engine(BUILT_IN + more, **options)


async def eventually(what, seconds=10.0):
    """Until what() is true (or awaited to be)."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        told = what()
        if asyncio.iscoroutine(told):
            told = await told
        if told:
            return told
        if asyncio.get_running_loop().time() > end:
            raise AssertionError(f"not within {seconds} s")
        await asyncio.sleep(0.02)


def main(name):
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    unittest.main(argv=[name], verbosity=2)

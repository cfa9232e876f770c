#!/usr/bin/env python3
"""The types of the package and of its examples hold, as mypy sees them in its strict mode; exits with 77 where mypy is not installed."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2] / "client" / "python"
tool = shutil.which("mypy")
if not tool:
    print("SKIPPED: mypy is not installed (apt-get install mypy)")
    sys.exit(77)


def check(*files):
    with tempfile.TemporaryDirectory() as cache:
        environment = dict(os.environ, MYPYPATH=str(ROOT))
        return subprocess.run([tool, "--strict", "--cache-dir", cache, *files], cwd=ROOT, capture_output=True, text=True, env=environment, timeout=110)


with tempfile.TemporaryDirectory() as folder:
    # What a caller says wrongly is found, so that what it says rightly means something.
    wrong = pathlib.Path(folder) / "wrong.py"
    wrong.write_text("from spatio_presence import *\n"
                     "async def main(node: Node) -> str:\n"
                     "    PresenceEntity(entity_type=3.5)\n"
                     "    return await node.query_presence(PresenceQuery(Sphere((0, 0), 1)))\n")
    told = check(str(wrong))
    assert told.stdout.count("wrong.py") == 2 and "[arg-type]" in told.stdout and "[return-value]" in told.stdout, told.stdout + told.stderr
told = check("spatio_presence", "examples")
print(told.stdout + told.stderr, end="")
sys.exit(told.returncode)

#!/usr/bin/env python3
"""scripts/bench away from its measuring: ratios of two files of figures, and what it says of files and numbers that are none."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def bench(*arguments):
    return subprocess.run([sys.executable, ROOT / "scripts" / "bench", *arguments], capture_output=True, text=True, timeout=60)


def figure(median, spread, unit="records/s"):
    return {"median": median, "min": median - spread, "max": median + spread, "unit": unit}


class Compare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name, content):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def test_ratios(self):
        old = self.file("old.json", {"a": figure(100.0, 10), "b": figure(100.0, 10), "gone": figure(1.0, 0), "configuration": {}})
        new = self.file("new.json", {"a": figure(150.0, 10), "b": figure(105.0, 10), "come": figure(1.0, 0), "configuration": {}})
        done = bench("compare", old, new)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {line.split()[0]: line for line in done.stdout.splitlines()[1:]}
        self.assertRegex(rows["a"], r"1\.50$")
        self.assertRegex(rows["b"], r"1\.05  \(ranges overlap\)$")
        self.assertEqual(set(rows), {"a", "b", "gone", "come"})

    def test_what_is_none(self):
        good = self.file("good.json", {"a": figure(1.0, 0)})
        for bad in (str(self.folder / "nowhere.json"), str(self.folder), self.file("no.json", "figures"), self.file("list.json", [1]),
                    self.file("flat.json", {"a": 1})):
            for arguments in (("compare", good, bad), ("compare", bad, good), ("report", bad)):
                done = bench(*arguments)
                self.assertEqual(done.returncode, 1, (arguments, done.stdout, done.stderr))
                self.assertRegex(done.stderr, rf"^scripts/bench: {bad}: [^\n]+\n$")
        for arguments in (("quick", "--rounds", "0"), ("rings", "--rounds", "101"), ("flood", "--window", "0"), ("stages", "--window", "x"),
                          ("full", "--as", "No Name"), ()):
            done = bench(*arguments)
            self.assertEqual(done.returncode, 2, (arguments, done.stderr))
            self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=["test_compare"], verbosity=2)

"""What a flood of junk, of strangers and of the greedy may not do, whatever the machine's speed: get back more bytes than it sends, have a
client that behaves turned away, grow the engine, or make a packet go uncounted. How fast all that is, `scripts/bench flood` says."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
import engine_process  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import flood  # noqa: E402


class Flood(unittest.TestCase):
    def check(self, kind):
        figures = {}
        flood.round_of(kind, 1.0, lambda name, value, unit, how=None: figures.update({name: value}))
        of = {what: figures[f"flood_{kind}_{what}"] for what in (
            "capacity", "offered", "bytes_back", "memory_grown", "turned_away", "uncounted")}
        self.assertGreater(of["offered"], 0, of)
        self.assertGreater(of["capacity"], 0, of)
        self.assertLessEqual(of["bytes_back"], 1.0, of)
        self.assertLessEqual(of["memory_grown"], 1024, of)
        self.assertEqual(of["turned_away"], 0, of)
        self.assertEqual(of["uncounted"], 0, of)

    def test_junk(self):
        self.check("junk")

    def test_unknown(self):
        self.check("unknown")

    def test_over_budget(self):
        self.check("over_budget")


if __name__ == "__main__":
    assert engine_process.BINARY
    unittest.main(argv=["test_flood"], verbosity=2)

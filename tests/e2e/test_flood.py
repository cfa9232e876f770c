"""What a flood of junk, of strangers, of the greedy and of wrong keys may not do, whatever the machine's speed: get back more bytes than it sends, have
a client that behaves turned away or lose what it sends, grow the engine, change its state, or make a packet go uncounted. How fast all that is,
`scripts/bench flood` says."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
import engine_process  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import flood  # noqa: E402


class Flood(unittest.TestCase):
    def check(self, kind):
        """What the engine counted from before the first flood until after the last one."""
        figures, counted = {}, {}

        def keep(name, value, unit, how=None):
            figures[name.removeprefix(f"flood_{kind}_")] = value
            if name.endswith("_counters"):
                counted.update(how)

        flood.round_of(kind, 0.8, keep)
        self.assertGreater(figures["offered"], 0, figures)
        self.assertGreater(figures["capacity"], 0, figures)
        self.assertLessEqual(figures["bytes_back"], 1.0, figures)
        self.assertLessEqual(figures["memory_grown"], 1024, figures)
        self.assertEqual(figures["turned_away"], 0, figures)
        self.assertEqual(figures["uncounted"], 0, figures)
        # The flood ran over the engine's queue while it was held; what the client that behaves sent beside it is all there.
        self.assertGreater(figures["beyond_overrun"], 0, figures)
        self.assertEqual(figures["beyond_lost"], 0, figures)
        return counted

    def test_junk(self):
        counted = self.check("junk")
        for reason in ("short_header", "version", "type_unknown"):
            self.assertGreater(counted.get(f"refused_{reason}", 0), 0, counted)

    def test_unknown(self):
        self.assertGreater(self.check("unknown")["refused_rate_source"], 0)

    def test_over_budget(self):
        self.assertGreater(self.check("over_budget")["refused_rate_source"], 0)

    def test_wrong_key(self):
        counted = self.check("wrong_key")
        for reason in ("seal", "session", "connect_stranger", "connect_rate"):
            self.assertGreater(counted.get(f"refused_{reason}", 0), 0, counted)
        # Nobody got in, nobody was put out, and nothing was applied but what the sessions that there are have sent.
        for name in ("sessions_opened", "refused_stale", "refused_session_replay", "refused_session_epoch"):
            self.assertEqual(counted.get(name, 0), 0, counted)
        self.assertEqual(counted["records_carried"], counted["records_applied"] + counted.get("records_coalesced", 0), counted)
        self.assertEqual(counted["messages_opened"], counted["carried_update"] + counted["carried_query"], counted)


if __name__ == "__main__":
    assert engine_process.BINARY
    unittest.main(argv=["test_flood"], verbosity=2)

"""What standing queries tell against what the same queries find. Whatever entities do — thresholds, precision levels, other names, ends of lives and of
states, edges that they stand on — once it is quiet, those inside of a fence by its events are those in the answer to the fence's own query,
and where they were told of last is where it finds them. The subscriber and the asker know nothing else of the world."""
import math
import os
import random
import struct
import sys
import unittest

import presence_client as pc
import watch_client as wc
from engine_process import Engine

HELD = b"held".ljust(16, b"\1")
YAML = """
workers: {count: %d}
memory: {entities: 5000, socket_mem_mb: 32}
sources:
  - socket: {port: {port}}
spaces:
  - {id: 6c6f6361-6c00-4000-8000-000000000001, name: local, kind: cartesian}
  - {id: 68656c64-0101-0101-0101-010101010101, name: held, kind: cartesian, coalesce_distance_m: 20, coalesce_interval_ms: 150}
  - {id: 776f726c-6400-4000-8000-000000000001, name: world, kind: geodetic, worldwide: true}
"""
EDGES = (0, 16, 48, 64, 128)  # of leaves, of fences, or both
ENTITIES, STEPS = 24, 40


def on_earth(x, y):
    """Metres about a place on the antimeridian."""
    longitude = 180 + x / 55800
    return 60 + y / 111400, longitude - 360 * (longitude >= 180)


class World:
    def __init__(self, rng, port, space):
        self.rng, self.space, self.numbers, self.places = rng, space, {}, {}
        self.plain = space == pc.LOCAL
        self.senders = [pc.Client("127.0.0.1", port) for _ in range(6)]
        self.asker = pc.Client("127.0.0.1", port)
        self.fences = self.make_fences()
        self.watchers = [wc.Watcher(port, subscription=1 + i, space=space) for i in range(2)]
        self.watchers[0].open(*[f for f, _ in self.fences])
        # One that loses notices and has a window; and is told of moves, but where nothing keeps looks at who is far from all edges from being spared.
        self.watchers[1].lose = lambda first, count: rng.random() < 0.1
        self.watchers[1].open(*[f for f, _ in self.fences], flags=0 if self.plain else wc.WANT_MOVES, window=64)

    def close(self):
        for c in self.senders + [self.asker] + self.watchers:
            c.close()

    def place(self, n):
        """On an edge or beside one, or a few steps from where it was."""
        rng = self.rng
        if n in self.places and rng.random() < 0.5:
            x, y = (v + rng.choice((0, 1, -1, 5, -20)) for v in self.places[n])
        else:
            x, y = (rng.choice(EDGES) * rng.choice((-1, 1)) + rng.choice((0, 0, 0.25, -0.25, rng.randrange(-80, 80))) for _ in range(2))
        self.places[n] = x, y
        return (*on_earth(x, y), 0.0) if self.space == pc.WORLD else (x, y, float(rng.choice((0, 1, 1024))))

    def make_fences(self):
        """As fences, and as the same queries."""
        def volume(fence_id, kind, a, b=(0, 0, 0), states=0, content=b""):
            extension = struct.pack("<HHI", 1, len(content), 0) + content if content else b""
            q = bytearray(pc.QUERY_RECORD.pack(1, kind, 0, 0x10 if content else 0, 0, 0, 0, states, *a, *b, *[0] * 9))
            struct.pack_into("<H", q, 112, len(extension))
            return wc.fence(fence_id, bytes(q), extension=extension), bytes(q) + extension
        flat = self.space != pc.WORLD
        at = (lambda x, y: (x, y)) if flat else on_earth
        ring = [at(*v) for v in ((-64, -64), (64, -64), (64, 64), (0, 16), (-64, 64))]
        polygon = struct.pack("<BBHIddHHHH", 0, 1, 5, 0, -math.inf, math.inf, 5, 0, 0, 0) + b"".join(struct.pack("<dd", *v) for v in ring)
        return [volume(1, pc.SPHERE, (*at(0, 0), 0), (64, 0, 0)), volume(2, pc.SPHERE, (*at(16, 0), 0), (0, 0, 0)),
                volume(3, pc.SPHERE, (*at(0, 48), 0), (1e6, 0, 0), states=self.space == HELD),
                volume(4, pc.BOX, (*at(-48, -16), 0), (*at(64, 64), 1024 if flat else 0)), volume(5, 4, (*ring[0], 0), content=polygon)]

    def burst(self):
        rng = self.rng
        for n in rng.sample(range(ENTITIES), rng.randrange(1, 8)):
            sender = self.senders[n % 5 + (rng.random() < 0.1)]  # now and then another one, perhaps of the other worker
            records = []
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                self.numbers[n] = self.numbers.get(n, 0) + 1
                attributes, radius = rng.choice((0, 0, 1, 2)) | 1 << 11, 0
                if not self.plain:  # anonymous or hidden, a precision level, a reach, of some
                    attributes |= rng.choice((0, 0, 0, 1, 3)) << 3 | rng.choice((0, 0, 0, 1, 3)) << 7
                    radius = rng.choice((0, 0, 60))
                records.append(pc.UPDATE_RECORD.pack(pc.entity(n), *self.place(n), self.numbers[n], 0, rng.choice((600000, 600000, 200)),
                                                     rng.choice((0, 0, 150)), radius, 0, 0, 0, 0, 0, 0, 0, 0,
                                                     rng.choice((0, 1, 1, 2)), 0, attributes))
            sender.updates(records, space=self.space)
            if rng.random() < 0.1:
                self.numbers[n] += 1
                sender.withdraw([pc.withdrawal(pc.entity(n), self.numbers[n])], space=self.space)

    def agrees(self):
        for fence_id, (_, query) in enumerate(self.fences, 1):
            found, truncated = self.asker.query(query, space=self.space)
            assert not truncated
            if any(w.inside(fence_id) != set(found) for w in self.watchers):
                return False
            if not self.plain and any(self.watchers[1].members[fence_id, i] != found[i][0] for i in found):
                return False
        return self.watchers[1].next == self.watchers[1].known


class WatchQuery(unittest.TestCase):
    def drive(self, workers):
        seed = int(os.environ.get("PE_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
        print(f"PE_TEST_SEED={seed}", flush=True)
        rng = random.Random(seed)
        with Engine(YAML % workers) as e:
            worlds = [World(rng, e.port, space) for space in (pc.LOCAL, HELD, pc.WORLD)]
            for _ in range(STEPS):
                for w in worlds:
                    w.burst()
                for w in worlds:
                    w.watchers[0].pump(0.01)
                    w.watchers[1].until(lambda: (w.watchers[0].take(0.001), w.agrees())[1])
            for w in worlds:
                w.close()
            _, identity = e.stop()
            self.assertEqual(e.exit, 0, e.log)
            self.assertTrue(all(identity[what, "difference"] == 0 for what in ("packets", "records", "queries", "subscribes")), e.log)

    def test_one_worker(self):
        self.drive(1)

    def test_two_workers(self):
        self.drive(2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

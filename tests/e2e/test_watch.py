"""Standing queries over ordinary UDP sockets: snapshots, ENTER, MOVE and LEAVE with their causes, margins and dwell times, leases, lives,
what is lost on the way, subscribers that stand still, and two workers."""
import collections
import os
import random
import subprocess
import sys
import threading
import time
import unittest

import presence_client as pc
import watch_client as wc
from engine_process import Engine, eventually

YAML = """
workers: {count: 1}
memory: {entities: 20000, socket_mem_mb: 32}
sources:
  - socket: {port: {port}}
"""
TWO = YAML.replace("count: 1", "count: 2")


class Mover:
    """Publishes entities and knows what it said last."""

    def __init__(self, port, clients=1):
        self.clients = [pc.Client("127.0.0.1", port) for _ in range(clients)]
        for c in self.clients:
            c.incarnation = self.clients[0].incarnation
        self.sequence, self.places = {}, {}

    def at(self, places, ttl_ms=600000, state=0, entity_type=1, client=0, radius=0.0, duration_ms=0, offset_ms=0, expect=None):
        """{number: position}, at once and acknowledged: taken, or refused for `expect`."""
        items = list(places.items())
        for i in range(0, len(items), 16):
            records = []
            for n, p in items[i:i + 16]:
                self.sequence[n] = self.sequence.get(n, 0) + 1
                if not expect:
                    self.places[n] = p
                records.append(pc.UPDATE_RECORD.pack(pc.entity(n), *p, self.sequence[n], offset_ms, ttl_ms, duration_ms, radius, 0.0,
                                                     0, 0, 0, 0, 0, 0, 0, entity_type, 0, state))
            rows = self.clients[client].updates(records)
            if expect:
                assert all(r[0] == pc.REFUSED and r[2] == pc.REASONS[expect] for r in rows), rows
            else:
                assert all(r[0] <= pc.COALESCED for r in rows), rows

    def gone(self, *numbers):
        for n in numbers:
            self.sequence[n] += 1
            self.places.pop(n)
        rows = self.clients[0].withdraw([pc.withdrawal(pc.entity(n), self.sequence[n]) for n in numbers])
        assert all(r[0] <= pc.ACCEPTED for r in rows), rows

    def within(self, centre, radius):
        return {pc.entity(n) for n, p in self.places.items() if pc.distance(p, centre) <= radius}

    def close(self):
        for c in self.clients:
            c.close()


class Watch(unittest.TestCase):
    def finish(self, e, *clients):
        for c in clients:
            c.close()
        counters, identity = e.stop()
        counters = collections.defaultdict(int, counters)
        self.assertEqual(e.exit, 0, e.log)
        for what in ("packets", "records", "queries", "subscribes"):
            self.assertEqual(identity[what, "difference"], 0, e.log)
        self.assertEqual(counters["subscriptions_opened"], counters["subscriptions_ended"], e.log)
        if not counters["events_gap"]:
            self.assertGreaterEqual(counters["events_enter"], counters["events_leave"])
        return counters

    def test_one_entity_through_a_fence(self):
        with Engine(YAML) as e:
            m = Mover(e.port)
            m.at({1: (0, 0, 0), 2: (500, 0, 0)})
            w = wc.Watcher(e.port)
            w.open(wc.sphere(7, (0, 0, 0), 100))
            w.until(lambda: any(x.kind == wc.SNAPSHOT_END for x in w.events))
            self.assertEqual([(x.kind, x.id, x.flags) for x in w.events], [(wc.ENTER, pc.entity(1), wc.SNAPSHOT),
                                                                           (wc.SNAPSHOT_END, bytes(16), 0)])
            self.assertEqual(w.events[0].position, (0, 0, 0))
            m.at({2: (50, 1, 2)})
            w.until(lambda: len(w.inside(7)) == 2)
            self.assertEqual((w.events[-1].kind, w.events[-1].flags), (wc.ENTER, 0))
            for got, sent in zip(w.events[-1].position, (50, 1, 2)):
                self.assertAlmostEqual(got, sent, delta=0.01)
            self.assertAlmostEqual(w.events[-1].time_ms / 1000, time.time(), delta=20)
            m.at({2: (60, 0, 0)})  # inside still: nothing without MOVES
            m.at({1: (100.5, 0, 0)})
            w.until(lambda: w.kinds(7, pc.entity(1)) == [(wc.ENTER, 0), (wc.LEAVE, wc.LEFT_MOVED)])
            m.gone(2)
            w.until(lambda: w.kinds(7, pc.entity(2)) == [(wc.ENTER, 0), (wc.LEAVE, wc.LEFT_GONE)])
            m.at({3: (1, 1, 1)}, ttl_ms=300)
            w.until(lambda: w.kinds(7, pc.entity(3)) == [(wc.ENTER, 0), (wc.LEAVE, wc.LEFT_GONE)])
            m.at({1: (0, 0, 0)})
            w.until(lambda: w.inside(7) == {pc.entity(1)})
            w.request(wc.CLOSE)
            w.pump(0.3)
            self.assertIn(w.ended, (None, wc.END_CLOSED))
            before = len(w.events)
            m.at({2: (0, 0, 0), 1: (900, 0, 0)})
            w.pump(0.3)
            self.assertEqual(len(w.events), before, "told of after the end")
            w.request(wc.RENEW, expect=pc.REASONS["subscription_unknown"])
            c = self.finish(e, w, m)
            self.assertEqual((c["subscriptions_opened"], c["subscriptions_ended"]), (1, 1))
            self.assertEqual(c["events_gap"], 0)

    def test_fences_come_and_go(self):
        with Engine(YAML) as e:
            m, w = Mover(e.port), wc.Watcher(e.port)
            m.at({n: (n * 10.0, 0, 0) for n in range(40)})
            w.open()
            w.add(wc.sphere(1, (0, 0, 0), 45), wc.box(2, (95, -1, -1), (205, 1, 1)),
                  wc.polygon(3, [(295, -5), (395, -5), (395, 5), (295, 5)]))
            w.until(lambda: len(w.members) == 5 + 11 + 10)
            # A repeat is acknowledged and does nothing; a number out of turn is refused; a name is there once.
            data = w.message_number
            w.message_number -= 1
            self.assertEqual(w.add(wc.sphere(1, (0, 0, 0), 45), wc.box(2, (95, -1, -1), (205, 1, 1)),
                                   wc.polygon(3, [(295, -5), (395, -5), (395, 5), (295, 5)])).fences, 3)
            self.assertEqual(w.message_number, data)
            w.message_number += 1
            w.add(wc.sphere(9, (0, 0, 0), 45), expect=pc.REASONS["subscribe_order"])
            w.message_number -= 1
            answer = w.add(wc.sphere(8, (0, 0, 0), 5), wc.sphere(2, (0, 0, 0), 5), expect=pc.REASONS["fence_name"])
            self.assertEqual((answer.fault, answer.fences), (1, 3), "whole or not at all")
            answer = w.add(wc.sphere(8, (0, 0, 0), 5), wc.fence(9, pc.query(pc.POINT, (0, 0, 0))), expect=pc.REASONS["fence_kind"])
            self.assertEqual((answer.fault, answer.fences), (1, 3))
            w.remove(99, expect=pc.REASONS["fence_name"])
            self.assertEqual(w.remove(2).fences, 2)
            w.until(lambda: not w.inside(2))
            self.assertEqual({k for k in w.kinds(2)}, {(wc.ENTER, 0), (wc.LEAVE, wc.LEFT_ENDED)})
            self.assertEqual((len(w.inside(1)), len(w.inside(3))), (5, 10))
            # Its name can be given again.
            w.add(wc.sphere(2, (200, 0, 0), 15))
            w.until(lambda: len(w.inside(2)) == 3)
            m.at({n: (n * 10.0, 500, 0) for n in range(40)})
            w.until(lambda: not w.members)
            self.finish(e, w, m)

    def test_masks_and_followers(self):
        with Engine(YAML) as e:
            m, w = Mover(e.port), wc.Watcher(e.port)
            m.at({n: (n * 10.0, 0, 0) for n in range(1, 9)})
            w.open(wc.sphere(1, (0, 0, 0), 1000, states=1), wc.sphere(2, (0, 0, 0), 25, follow=pc.entity(4)))
            w.until(lambda: len(w.inside(1)) == 8 and w.inside(2) == {pc.entity(n) for n in (2, 3, 5, 6)})
            m.at({5: (50, 0, 0)}, state=2)  # BUSY: not for fence 1 any more
            w.until(lambda: w.kinds(1, pc.entity(5)) == [(wc.ENTER, 0), (wc.LEAVE, wc.LEFT_MOVED)])
            self.assertIn(pc.entity(5), w.inside(2))
            m.at({5: (50, 0, 0)}, state=0)
            w.until(lambda: len(w.inside(1)) == 8)
            m.at({4: (75, 0, 0)})  # the fence goes with it
            w.until(lambda: w.inside(2) == {pc.entity(n) for n in (5, 6, 7, 8)})
            m.gone(4)
            w.until(lambda: not w.inside(2))
            m.at({4: (0, 0, 0)})
            w.until(lambda: w.inside(2) == {pc.entity(n) for n in (1, 2)})
            self.finish(e, w, m)

    def test_what_shows_an_entity(self):
        """Reach, the end of a state, late words and corrections."""
        with Engine(YAML) as e:
            m, w, far = Mover(e.port), wc.Watcher(e.port), wc.Watcher(e.port, subscription=2)
            w.open(wc.sphere(1, (0, 0, 0), 1000), wc.sphere(2, (0, 0, 0), 1000, states=1 << 2), flags=wc.WANT_MOVES)
            # The asker's point is its centre: who reaches 30 m is seen from 20 m away, and not from 40.
            m.at({1: (20, 0, 0)}, radius=30.0)
            w.until(lambda: w.inside(1) == {pc.entity(1)})
            m.at({1: (40, 0, 0)}, radius=30.0)
            w.until(lambda: w.kinds(1) == [(wc.ENTER, 0), (wc.LEAVE, wc.LEFT_MOVED)])
            m.at({2: (5, 5, 5)}, state=2, duration_ms=400)
            w.until(lambda: w.inside(2) == {pc.entity(2)})
            w.until(lambda: not w.inside(2))  # INACTIVE by itself
            self.assertIn(pc.entity(2), w.inside(1))
            # A word of a minute ago, behind one of now: nothing is told.
            before = len(w.events)
            m.at({2: (900, 0, 0)}, offset_ms=-60000, expect="late")
            m.at({9: (0, 0, 0)}, offset_ms=60000, expect="future")
            w.pump(0.3)
            self.assertEqual(len(w.events), before)
            # Relocated, not moved.
            m.at({3: (7, 0, 0)}, entity_type=0)
            w.until(lambda: pc.entity(3) in w.inside(1))
            m.at({3: (300, 0, 0)}, entity_type=0, expect="relocation")
            m.at({3: (300, 0, 0)}, entity_type=0, state=1 << 11)
            w.until(lambda: w.events[-1].id == pc.entity(3) and w.events[-1].kind == wc.MOVE)
            self.assertEqual(w.events[-1].flags, wc.CORRECTED)
            self.assertAlmostEqual(w.events[-1].position[0], 300, delta=0.01)
            # A new life of the sender, whose clock is behind.
            m.clients[0].incarnation += 1
            m.at({2: (2000, 0, 0)}, offset_ms=-5000)
            w.until(lambda: pc.entity(2) not in w.inside(1))
            self.assertEqual((w.events[-1].kind, w.events[-1].flags), (wc.LEAVE, wc.CORRECTED))
            far.close()
            self.finish(e, w, m)

    def test_full_tables(self):
        yaml = YAML.replace("entities: 20000,", "entities: 20000, fences: 4, memberships: 16, subscriptions: 4,")
        with Engine(yaml) as e:
            m = Mover(e.port)
            m.at({n: (n, 0, 0) for n in range(30)})
            first, second = wc.Watcher(e.port, subscription=1), wc.Watcher(e.port, subscription=2)
            first.open(*[wc.sphere(n, (0, 0, 0), 4.5) for n in range(3)])
            first.until(lambda: len(first.members) == 15)
            answer = second.request(wc.OPEN, 2, wc.sphere(1, (0, 0, 0), 5)[0] + wc.sphere(2, (0, 0, 0), 5)[0],
                                    expect=pc.REASONS["fences_full"])
            self.assertEqual(answer.fault, 1)
            second.epoch += 1
            second.open(wc.sphere(1, (20, 0, 0), 5.5))
            second.until(lambda: any(x.kind == wc.SNAPSHOT_END for x in second.events))
            second.pump(0.3)
            before = len(second.members)
            self.assertTrue(1 <= before < 5, "a membership or two were left")
            second.add(wc.sphere(2, (0, 0, 0), 5), expect=pc.REASONS["fences_full"])
            # What is given back is there again, and who was without room enters with the next update.
            first.remove(0)
            first.until(lambda: len(first.members) == 10)
            m.at({n: (n, 0.1, 0) for n in range(30)})
            second.until(lambda: len(second.members) == before + 5)

            def taken(what):
                try:
                    what()
                    return True
                except AssertionError:
                    return False

            # Until the fence has gone from the worker.
            eventually(lambda: taken(lambda: second.add(wc.sphere(2, (100, 0, 0), 5))))
            # One address gets no more than its share of the subscriptions.
            more = [wc.Watcher(e.port, subscription=n) for n in range(3, 6)]
            more[0].open()
            more[1].request(wc.OPEN, expect=pc.REASONS["subscriptions_full"])
            first.request(wc.CLOSE)
            more[1].epoch += 1
            eventually(lambda: taken(more[1].open))
            more[2].request(wc.OPEN, expect=pc.REASONS["subscriptions_full"])
            c = self.finish(e, m, first, second, *more)
            self.assertGreater(c["members_refused"], 0)
        with Engine(YAML.replace("entities: 20000,", "entities: 20000, fences: 0,")) as e:
            w = wc.Watcher(e.port)
            w.request(wc.OPEN, expect=pc.REASONS["standing_off"])
            self.finish(e, w)

    def test_a_slow_one_spares_the_others(self):
        """It has more waiting than may wait, and is told of a gap; the others are told of everything."""
        yaml = YAML.replace("entities: 20000,", "entities: 20000, fences: 64, memberships: 20000,")
        with Engine(yaml) as e:
            m, slow, good = Mover(e.port), wc.Watcher(e.port, subscription=1), wc.Watcher(e.port, subscription=2)
            slow.open(*[wc.sphere(n, (0, 0, 0), 100) for n in range(7)], window=2)
            slow.window = 0  # never acknowledges
            for n in range(7, 42, 7):
                slow.add(*[wc.sphere(k, (0, 0, 0), 100) for k in range(n, n + 7)])
            good.open(wc.sphere(1, (0, 0, 0), 50), window=64)
            for _ in range(4):
                m.at({n: (n * 0.3, 0, 0) for n in range(300)})
                good.until(lambda: good.inside(1) == m.within((0, 0, 0), 50))
                m.at({n: (n * 0.3 + 500, 0, 0) for n in range(300)})
                good.until(lambda: not good.members)
            self.assertEqual(good.gaps, 0)
            self.assertEqual(len(good.kinds()), 4 * 2 * 167)
            m.at({n: (n * 0.3, 0, 0) for n in range(300)})
            slow.window = 2
            slow.send(slow.subscribe(wc.ACKNOWLEDGE, sequence=slow.next))
            slow.until(lambda: len(slow.members) == 42 * 300, 60)
            self.assertGreaterEqual(slow.gaps, 1)
            good.until(lambda: good.inside(1) == m.within((0, 0, 0), 50))
            self.assertEqual(good.gaps, 0)
            self.finish(e, m, slow, good)

    def test_moves(self):
        with Engine(YAML) as e:
            m = Mover(e.port)
            m.at({1: (0, 0, 0)})
            every, coarse, slow = (wc.Watcher(e.port, subscription=n) for n in (1, 2, 3))
            every.open(wc.sphere(1, (0, 0, 0), 1000), flags=wc.WANT_MOVES)
            coarse.open(wc.sphere(1, (0, 0, 0), 1000), flags=wc.WANT_MOVES | wc.FILTER_UPDATES | wc.BATCH_UPDATES, resolution=10.0)
            slow.open(wc.sphere(1, (0, 0, 0), 1000), flags=wc.WANT_MOVES, frequency=60)
            for w in (every, coarse, slow):
                w.until(lambda: w.members)
            begin = time.monotonic()
            for step in range(1, 101):
                m.at({1: (step * 1.0, 0, 0)})
                time.sleep(0.01)
            for w in (every, coarse, slow):
                w.until(lambda: w.members and abs(list(w.members.values())[0][0] - 100) < (12 if w is coarse else 0.01))
            passed = time.monotonic() - begin
            told = {w.subscription: sum(x.kind == wc.MOVE for x in w.events) for w in (every, coarse, slow)}
            self.assertGreaterEqual(told[1], 50)
            # Further than 10 m from where it was told of last: 11 m apart when each step is told of.
            self.assertLessEqual(told[2], 10)
            self.assertGreaterEqual(told[2], 5)
            # Newest state, once a second.
            self.assertLessEqual(told[3], passed + 2)
            self.assertGreaterEqual(told[3], 1)
            self.finish(e, every, coarse, slow, m)

    def test_jitter_at_an_edge(self):
        """σ = 10 m about the edge: without margin and dwell each crossing is told, with them next to nothing."""
        rng = random.Random(20140815)
        with Engine(YAML) as e:
            m, w = Mover(e.port), wc.Watcher(e.port)
            w.open(wc.sphere(1, (0, 0, 0), 1000), wc.sphere(2, (0, 0, 0), 1000, margin=60),
                   wc.sphere(3, (0, 0, 0), 1000, enter_ms=1500, leave_ms=1500))
            m.at({1: (900, 0, 0)})
            w.until(lambda: len(w.members) >= 2)
            w.until(lambda: len(w.members) == 3)  # after a second and a half
            inside, crossings = True, 0
            # How often it may have been on one side for long, from before it was sent there until it was known to have left.
            dwelt, since = 0, time.monotonic()
            for _ in range(400):
                at = 1000 + rng.gauss(0, 10)
                if abs(at - 1000) < 0.01:
                    continue
                sent = time.monotonic()
                m.at({1: (at, 0, 0)})
                if inside != (at < 1000):
                    crossings += 1
                    dwelt += time.monotonic() - since >= 1.5
                    since = sent
                inside = at < 1000
                w.take(0.001)
            w.until(lambda: len(w.kinds(1)) == crossings + 1)
            w.pump(0.3)
            self.assertGreater(crossings, 100)
            self.assertEqual(len(w.kinds(1)), crossings + 1, "each crossing, no more")
            self.assertEqual(w.kinds(2), [(wc.ENTER, 0)])
            # Longer than 1.5 s on one side does not come of noise; a machine that stands still may make it so. The first ENTER was before.
            self.assertLessEqual(len(w.kinds(3)), 1 + dwelt + (time.monotonic() - since >= 1.5))
            m.at({1: (1100, 0, 0)})
            w.until(lambda: not w.members)
            self.assertEqual(w.kinds(2), [(wc.ENTER, 0), (wc.LEAVE, wc.LEFT_MOVED)])
            self.finish(e, w, m)

    def storm(self, m, w, rng, rounds, centre, radius, entities=120, client=lambda: 0):
        """Entities that jump about the fence's edge, come and go."""
        for _ in range(rounds):
            batch = {rng.randrange(entities): (rng.uniform(-2 * radius, 2 * radius), rng.uniform(-radius, radius), 0.0)
                     for _ in range(16)}
            # On the edge itself nobody knows.
            m.at({n: p for n, p in batch.items() if abs(pc.distance(p, centre) - radius) > 0.01}, client=client())
            if rng.random() < 0.1 and m.places:
                m.gone(rng.choice(list(m.places)))
            w.take(0.001)

    def test_what_is_lost_is_asked_for(self):
        rng = random.Random(7)
        with Engine(YAML) as e:
            m, w = Mover(e.port), wc.Watcher(e.port)
            w.lose = lambda first, events: rng.random() < 0.3
            w.open(wc.sphere(1, (0, 0, 0), 100))
            for _ in range(10):
                self.storm(m, w, rng, 25, (0, 0, 0), 100)
                w.until(lambda: w.inside(1) == m.within((0, 0, 0), 100) and w.next == w.known)
            self.assertGreater(w.lost, 20)
            self.assertEqual(w.gaps, 0)
            self.assertGreater(len(w.events), 500)
            w.resume()  # nothing is missing: nothing comes
            before = w.repeated
            w.pump(0.2)
            self.assertEqual(w.repeated, before)
            # Longer away than the window of what can be sent again: a gap, and a snapshot.
            w.lose = lambda first, events: True
            self.storm(m, w, rng, 250, (0, 0, 0), 100)
            w.pump(0.2)
            w.lose = lambda first, events: False
            w.until(lambda: w.inside(1) == m.within((0, 0, 0), 100) and w.next == w.known)
            self.assertEqual(w.gaps, 1)
            c = self.finish(e, w, m)
            self.assertGreater(c["events_repeated"], 20)

    def test_another_life(self):
        """A subscriber that was started again, on the same address: its old subscription ends, and its new one begins with a snapshot."""
        with Engine(YAML) as e:
            m, w = Mover(e.port), wc.Watcher(e.port)
            m.at({n: (n, 0, 0) for n in range(20)})
            w.open(wc.sphere(1, (0, 0, 0), 100))
            w.until(lambda: len(w.members) == 20)
            # The same life again: acknowledged, nothing begins anew.
            before, next_sequence = list(w.events), w.next
            w.request(wc.OPEN, 1, wc.sphere(1, (0, 0, 0), 100)[0])
            w.pump(0.2)
            self.assertEqual((w.events, w.next), (before, next_sequence))
            w.epoch += 1
            w.open(wc.sphere(2, (0, 0, 0), 9.5))
            w.until(lambda: any(x.kind == wc.SNAPSHOT_END for x in w.events))
            self.assertEqual(w.inside(2), {pc.entity(n) for n in range(10)})
            self.assertEqual(w.events[0].sequence, 1)
            m.at({30: (1, 1, 0)})
            w.until(lambda: len(w.members) == 11)
            # The old life's messages are nobody's.
            w.epoch -= 1
            w.request(wc.RENEW, expect=pc.REASONS["subscription_unknown"])
            c = self.finish(e, w, m)
            self.assertEqual((c["subscriptions_opened"], c["subscriptions_ended"]), (2, 2))

    def test_lease(self):
        with Engine(YAML) as e:
            m, w, other = Mover(e.port), wc.Watcher(e.port), wc.Watcher(e.port, subscription=2)
            m.at({1: (0, 0, 0)})
            self.assertTrue(3000000 < other.open(wc.sphere(1, (0, 0, 0), 100)).lease <= 3600000)
            for lives in range(1, 6):
                lease = 2 ** (lives - 1)
                last = time.monotonic()
                answer = w.open(wc.sphere(1, (0, 0, 0), 100), lease_ms=1000 * lease)
                self.assertTrue(0 < answer.lease <= 1000 * lease, answer)
                w.take(0.05)
                begin, late = last, False
                while last - begin < 2.0 * lease and not late:
                    w.send(w.subscribe(wc.RENEW, lease_ms=1000 * lease))
                    w.pump(0.2)
                    late = time.monotonic() - last > 0.7 * lease  # this machine stood still: no proof of anything
                    last = time.monotonic()
                if not late:
                    break
                w.epoch += 1
            self.assertFalse(late)
            self.assertIsNone(w.ended)
            w.until(lambda: w.ended is not None, mend=False)
            self.assertEqual(w.ended, wc.END_EXPIRED)
            self.assertEqual([k for k in w.kinds(1)][0], (wc.ENTER, 0))
            w.request(wc.RESUME, sequence=1, expect=pc.REASONS["subscription_unknown"])
            m.at({1: (900, 0, 0)})
            other.until(lambda: other.kinds(1) == [(wc.ENTER, 0), (wc.LEAVE, wc.LEFT_MOVED)])
            c = self.finish(e, w, other, m)
            self.assertEqual((c["subscriptions_opened"], c["subscriptions_ended"]), (lives + 1, lives + 1))

    def test_the_engine_ends(self):
        """Each subscriber is told, as far as a datagram can be relied on."""
        with Engine(TWO) as e:
            watchers = [wc.Watcher(e.port, subscription=n) for n in range(4)]
            m = Mover(e.port)
            m.at({1: (0, 0, 0)})
            for w in watchers:
                w.open(wc.sphere(1, (0, 0, 0), 100))
                w.until(lambda: w.members)
            m.close()
            e.stop()
            self.assertEqual(e.exit, 0, e.log)
            for w in watchers:
                w.pump(0.2)
                self.assertEqual(w.ended, wc.END_ENGINE)
                self.assertEqual(w.events[-1].sequence + 1, w.next)
                w.close()

    def test_window(self):
        """Who doesn't acknowledge gets no more than its window, and then the newest state."""
        rng = random.Random(9)
        with Engine(YAML) as e:
            m, w = Mover(e.port), wc.Watcher(e.port)
            w.open(wc.sphere(1, (0, 0, 0), 100), window=32)
            w.window = 0  # forgets to
            self.storm(m, w, rng, 120, (0, 0, 0), 100)
            w.until(lambda: w.events, mend=False)
            w.pump(0.5)
            self.assertLessEqual(len(w.events), 32)
            self.assertGreater(len(w.events), 0)
            w.window = 32
            w.send(w.subscribe(wc.ACKNOWLEDGE, sequence=w.next))
            w.until(lambda: w.inside(1) == m.within((0, 0, 0), 100))
            # Of far more changes only the newest were told, and never more than a pair's two at a time.
            self.assertLess(len(w.events), 32 + 3 * 120)
            self.storm(m, w, rng, 20, (0, 0, 0), 100)
            w.until(lambda: w.inside(1) == m.within((0, 0, 0), 100))
            c = self.finish(e, w, m)
            self.assertGreater(c["events_merged"] + c["events_gap"], 0)

    def stopped(self, window):
        """A subscriber in a process of its own stands still while much happens, and nobody else notices."""
        rng = random.Random(11)
        with Engine(YAML) as e:
            m, w = Mover(e.port), wc.Watcher(e.port)
            w.open(wc.sphere(1, (0, 0, 0), 100))
            child = subprocess.Popen([sys.executable, __file__, "--subscriber", str(e.port), str(window)], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
            try:
                self.assertEqual(child.stdout.readline(), "open\n")
                self.storm(m, w, rng, 20, (0, 0, 0), 100)
                os.kill(child.pid, 19)  # SIGSTOP
                for _ in range(40):
                    self.storm(m, w, rng, 25, (0, 0, 0), 100)
                    w.until(lambda: w.inside(1) == m.within((0, 0, 0), 100))
                os.kill(child.pid, 18)  # SIGCONT
                wanted = sorted(i.hex() for i in m.within((0, 0, 0), 100))
                child.stdin.write(" ".join(wanted) + "\n")
                child.stdin.flush()
                self.assertEqual(child.stdout.readline(), "same\n")
                self.assertEqual(child.wait(60), 0)
            finally:
                child.kill()
                child.wait()
                child.stdin.close()
                child.stdout.close()
            self.assertEqual(w.gaps, 0)
            return self.finish(e, w, m)

    def test_a_subscriber_that_stands_still(self):
        self.stopped(0)

    def test_a_subscriber_with_a_window_that_stands_still(self):
        c = self.stopped(64)
        self.assertGreater(c["events_merged"] + c["events_gap"], 0)

    def test_two_workers(self):
        """Entities of either worker, subscribers on either."""
        rng = random.Random(13)
        with Engine(TWO) as e:
            m = Mover(e.port, clients=12)
            watchers = [wc.Watcher(e.port, subscription=n) for n in range(8)]
            turn = iter(range(1 << 30))
            client = lambda: next(turn) % 12
            self.storm(m, watchers[0], rng, 60, (0, 0, 0), 100, client=client)
            for i, w in enumerate(watchers):
                w.lose = (lambda first, events: rng.random() < 0.1) if i % 2 else (lambda first, events: False)
                w.open(wc.sphere(1, (0, 0, 0), 100), wc.box(2, (0, -100, -1), (300, 100, 1)))
            for _ in range(12):
                self.storm(m, watchers[0], rng, 20, (0, 0, 0), 100, client=client)
                in_box = {pc.entity(n) for n, p in m.places.items() if p[0] >= 0}
                for w in watchers:
                    w.until(lambda: w.inside(1) == m.within((0, 0, 0), 100) and w.inside(2) == in_box and w.next == w.known)
            for w in watchers:
                self.assertEqual(w.gaps, 0)
                w.request(wc.CLOSE)
            c = self.finish(e, m, *watchers)
            self.assertGreater(c["records_forwarded"], 0)
            self.assertEqual((c["subscriptions_opened"], c["subscriptions_ended"]), (8, 8))
            self.assertEqual(c["fences_added"], c["fences_removed"])

    def test_not_trusted(self):
        with Engine(YAML + "trusted: [127.0.0.2/32]\nadmitted: [127.0.0.1/32, 127.0.0.2/32]\n") as e:
            w = wc.Watcher(e.port)
            w.send(w.subscribe(wc.OPEN, 1, wc.sphere(1, (0, 0, 0), 100)[0]))
            self.assertTrue(w.silent(0.3))
            w.close()
            counters, _ = e.stop()
            self.assertEqual(counters["refused_not_trusted"], 1)
            self.assertEqual(counters.get("subscriptions_opened", 0), 0)

    def test_hostile(self):
        """Cut, stretched and altered requests: each is refused or done, none harms."""
        rng = random.Random(17)
        with Engine(YAML) as e:
            m, w = Mover(e.port), wc.Watcher(e.port)
            m.at({n: (n, 0, 0) for n in range(20)})
            fences = [wc.sphere(1, (0, 0, 0), 100, margin=5), wc.polygon(2, [(0, 0), (50, 0), (50, 50), (0, 50)])]
            body = b"".join(f for f, _ in fences) + b"".join(x for _, x in fences)
            whole = w.subscribe(wc.OPEN, 2, body, flags=1)
            for cut in range(0, len(whole), 5):
                w.send(whole[:cut])
            w.send(whole + b"\0")
            for _ in range(1500):
                data = bytearray(whole)
                for _ in range(rng.randint(1, 3)):
                    at = rng.randrange(80, len(data))
                    data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
                w.send(bytes(data))
                if rng.random() < 0.1:
                    w.socket.settimeout(0.001)
                    try:
                        for _ in range(200):
                            w.socket.recv(65535)
                    except OSError:
                        pass
            c = pc.Client("127.0.0.1", e.port)
            self.assertTrue(c.ping())
            found, _ = c.query(pc.query(pc.SPHERE, (0, 0, 0), (100, 0, 0)))
            self.assertEqual(len(found), 20)
            c.close()
            self.finish(e, w, m)


def subscriber(port, window):
    """The process that stands still: reads who must be inside in the end from its input."""
    w = wc.Watcher(port, subscription=5)
    w.open(wc.sphere(1, (0, 0, 0), 100), window=window)
    print("open", flush=True)
    wanted = []
    threading.Thread(target=lambda: wanted.append(sys.stdin.readline().split()), daemon=True).start()
    end = time.monotonic() + 300
    while time.monotonic() < end:
        w.take(0.05)
        if wanted:
            w.until(lambda: sorted(i.hex() for i in w.inside(1)) == wanted[0], 60)
            print("same", flush=True)
            w.request(wc.CLOSE)
            return 0
    return 1


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--subscriber":
        sys.exit(subscriber(int(sys.argv[2]), int(sys.argv[3])))
    unittest.main(argv=["test_watch", *sys.argv[2:]], verbosity=2)

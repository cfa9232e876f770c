#!/usr/bin/env python3
"""The recording of ships under fences drawn on the chart: what is told of each ship and fence must be what is computed here from
the recording, event by event. Then a moored ship on a fence's edge, whose fixes jitter: with a margin and dwell times it is no storm.

    tests/e2e/test_watch_ais.py PRESENCED RECORDING.csv

Shares no code with the engine or its client. Circles are Vincenty's geodesics; a polygon's edges lie in the planes through their ends and
the Earth's centre, as docs/protocol.md says. No report of the recording lies nearer than MARGIN to an edge, which is checked.
"""
import collections
import math
import random
import sys
import time
from select import select

import presence_client as pc
import watch_client as wc
from engine_process import Engine, eventually
from test_ais_replay import encode, read_recording, ship_id, vincenty

WORLD = bytes.fromhex("776f726c64004000800000000000aa01")
YAML = """
sources:
  - socket: {address: 127.0.0.1, port: {port}}
spaces:
  - {id: 776f726c-6400-4000-8000-00000000aa01, name: world, kind: geodetic, worldwide: true}
"""
MARGIN = 0.2  # m
SEED = 20140815


def on_earth(latitude, longitude):
    """Earth-centred metres on WGS84."""
    a, f = 6378137.0, 1 / 298.257223563
    e2 = f * (2 - f)
    p, l = math.radians(latitude), math.radians(longitude)
    n = a / math.sqrt(1 - e2 * math.sin(p) ** 2)
    return n * math.cos(p) * math.cos(l), n * math.cos(p) * math.sin(l), n * (1 - e2) * math.sin(p)


def cross(u, v):
    return u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]


class Circle:
    def __init__(self, latitude, longitude, radius):
        self.centre, self.radius = (latitude, longitude), radius

    def depth(self, place):
        return self.radius - vincenty(*self.centre, *place)

    def fence(self, number, **rule):
        return wc.sphere(number, (*self.centre, 0.0), self.radius, **rule)


class Convex:
    """Vertices against the clock."""

    def __init__(self, *vertices):
        self.vertices = vertices
        points = [on_earth(*v) for v in vertices]
        self.planes = []
        for i, p in enumerate(points):
            n = cross(p, points[(i + 1) % len(points)])
            length = math.hypot(*n)
            self.planes.append(tuple(c / length for c in n))

    def depth(self, place):
        p = on_earth(*place)
        return min(sum(a * b for a, b in zip(n, p)) for n in self.planes)

    def fence(self, number, **rule):
        return wc.polygon(number, self.vertices, **rule)


FENCES = {
    1: Circle(59.7000, 24.7500, 1500.0),  # a regatta
    2: Circle(59.7160, 24.7330, 400.0),
    3: Convex((59.690, 24.700), (59.690, 24.790), (59.712, 24.790), (59.712, 24.700)),
    4: Circle(59.9300, 25.0000, 3000.0),  # the way to Helsinki
    5: Convex((59.970, 25.010), (60.010, 25.060), (60.040, 25.000), (60.010, 24.920), (59.960, 24.900)),
    6: Convex((59.80, 24.60), (59.80, 25.20), (59.90, 25.20), (59.90, 24.60)),  # across the gulf
    7: Circle(59.4900, 24.8000, 9000.0),  # Tallinn
    8: Circle(60.1557, 24.9822, 150.0),
}


def batches(reports):
    """In order, at most 16, no ship twice: of two in one message only the newer one has to be seen."""
    batch, ships = [], set()
    for report in reports:
        if len(batch) == 16 or report[0] in ships:
            yield batch
            batch, ships = [], set()
        batch.append(report)
        ships.add(report[0])
    if batch:
        yield batch


class Publisher:
    def __init__(self, port):
        self.client, self.sequence = pc.Client("127.0.0.1", port), collections.Counter()

    def publish(self, batch):
        records = []
        for report in batch:
            self.sequence[report[0]] += 1
            records.append(encode(report, self.sequence[report[0]]))
        rows = self.client.updates(records, space=WORLD)
        assert all(r[0] in (pc.APPLIED, pc.ACCEPTED) for r in rows), rows
        for report, row in zip(batch, rows):
            if row[0] == pc.ACCEPTED:
                self.arrived(report)

    def arrived(self, report):
        """What is on its way may be overtaken by the next report, and then nobody sees it: wait until it can be seen."""
        here = pc.query(pc.SPHERE, (report[1], report[2], 0.0), (0.05, 0, 0))
        eventually(lambda: ship_id(report[0]) in self.client.query(here, WORLD)[0], f"{report} was accepted and is not there")


def replay(port, reports):
    depths = {f: {r[1:3]: FENCES[f].depth(r[1:3]) for r in reports} for f in FENCES}
    for f, by_place in depths.items():
        nearest = min(map(abs, by_place.values()))
        assert nearest > MARGIN, f"a report lies {nearest:.3f} m from the edge of fence {f}: draw it elsewhere"
    expected, inside = collections.defaultdict(list), set()
    for mmsi, latitude, longitude, *_ in reports:
        for f in FENCES:
            pair, now = (f, ship_id(mmsi)), depths[f][latitude, longitude] > 0
            if now != (pair in inside):
                expected[pair].append((wc.ENTER if now else wc.LEAVE, latitude, longitude))
                inside ^= {pair}
    watcher, publisher = wc.Watcher(port, space=WORLD), Publisher(port)
    watcher.open(*[fence.fence(f) for f, fence in list(FENCES.items())[:3]])
    for f, fence in list(FENCES.items())[3:]:
        watcher.add(fence.fence(f))
    for batch in batches(reports):
        publisher.publish(batch)
        while watcher.socket in select([watcher.socket], [], [], 0)[0]:
            watcher.take(0.01)
    total = sum(map(len, expected.values()))
    watcher.until(lambda: sum(e.kind <= wc.LEAVE for e in watcher.events) >= total)
    watcher.pump(0.3)
    assert watcher.gaps == 0
    told = collections.defaultdict(list)
    for e in watcher.events:
        if e.kind <= wc.LEAVE:
            told[e.fence, e.id].append(e)
            assert e.kind != wc.LEAVE or e.cause == wc.LEFT_MOVED, e
    assert set(told) == set(expected), f"pairs told and not expected {set(told) ^ set(expected)}"
    for pair, events in told.items():
        assert [e.kind for e in events] == [x[0] for x in expected[pair]], f"{pair}: {events}, {expected[pair]}"
        for e, (kind, latitude, longitude) in zip(events, expected[pair]):
            if kind == wc.ENTER:
                assert abs(e.position[0] - latitude) < 1e-9 and abs(e.position[1] - longitude) < 1e-9, f"{pair}: {e}"
    assert watcher.members.keys() == inside, watcher.members.keys() ^ inside
    by_fence = collections.Counter(f for f, _ in told for _ in told[f, _])
    assert set(by_fence) == set(FENCES) and total > 60, by_fence
    watcher.request(wc.CLOSE)
    watcher.close()
    print(f"{len(reports)} reports: {total} events of {len(told)} pairs agree, by fence {dict(sorted(by_fence.items()))}")
    return publisher


def jitter(port, reports, publisher):
    """The moored ship with the most reports, on the edge of a circle, its fixes off by σ = 10 m north and east."""
    rng = random.Random(SEED)
    places = collections.defaultdict(list)
    for r in reports:
        places[r[0]].append(r)
    moored = max((rows for rows in places.values()
                  if max(vincenty(*rows[0][1:3], *r[1:3]) for r in rows) < 30), key=len)[0]
    north = 1 / 111412.0
    circle = Circle(moored[1] - 500 * north, moored[2], 500.0)
    watcher = wc.Watcher(port, subscription=2, space=WORLD)
    # 60 m are six σ across the edge; a second and a half on one side is no noise.
    watcher.open(circle.fence(1), circle.fence(2, margin=60.0), circle.fence(3, enter_ms=1500, leave_ms=1500),
                 circle.fence(4, margin=60.0, enter_ms=500, leave_ms=500))
    east = 1 / (111320.0 * math.cos(math.radians(moored[1])))
    publisher.publish([(moored[0], moored[1] - 250 * north, moored[2], 0, 0, moored[5])])
    watcher.until(lambda: len(watcher.members) == 4)
    start, inside, crossings = len(watcher.events), True, 0
    # How long it may have been on one side, by this test's clock, from before it was sent there until it was known to have left.
    dwelt, since = 0, time.monotonic()
    for _ in range(1000):
        place = (moored[1] + rng.gauss(0, 10) * north, moored[2] + rng.gauss(0, 10) * east)
        depth = circle.depth(place)
        if abs(depth) <= MARGIN:
            continue
        sent = time.monotonic()
        publisher.publish([(moored[0], *place, 0, 0, moored[5])])
        if inside != (depth > 0):
            crossings += 1
            dwelt += time.monotonic() - since >= 1.5
            since = sent
        inside = depth > 0
        while watcher.socket in select([watcher.socket], [], [], 0)[0]:
            watcher.take(0.01)
    watcher.until(lambda: sum(e.fence == 1 for e in watcher.events[start:]) >= crossings)
    watcher.pump(0.3)
    storm = collections.Counter(e.fence for e in watcher.events[start:])
    assert crossings > 300 and storm[1] == crossings, f"{crossings} crossings, {storm}"
    assert storm[2] == storm[4] == 0, storm
    # Nothing, but where this machine took more than a second and a half from one crossing to the next; the last side's end is not in the count.
    assert storm[3] <= dwelt + (time.monotonic() - since >= 1.5), (storm, dwelt)
    publisher.publish([(moored[0], moored[1] + 200 * north, moored[2], 0, 0, moored[5])])
    watcher.until(lambda: not watcher.members)
    assert watcher.kinds(4) == [(wc.ENTER, 0), (wc.LEAVE, wc.LEFT_MOVED)], watcher.kinds(4)
    watcher.request(wc.CLOSE)
    watcher.close()
    print(f"{crossings} crossings of an edge by noise: {storm[1]} events without a margin, {storm[2]} with one, {storm[3]} with dwell "
          f"times, {storm[4]} with both")


def main(recording):
    reports = read_recording(recording)
    assert len(reports) == 2867
    with Engine(YAML) as e:
        publisher = replay(e.port, reports)
        jitter(e.port, reports, publisher)
        publisher.client.close()
        counters, identity = e.stop()
        assert e.exit == 0, e.log
        assert identity["packets", "difference"] == identity["records", "difference"] == 0, e.log


if __name__ == "__main__":
    main(sys.argv[2])

#!/usr/bin/env python3
"""The recording of ships, replayed in its own order with fresh stamps into a running presenced; at five moments its
answers to sphere, box and point queries must be those computed here from the recording.

    tests/e2e/test_ais_replay.py PRESENCED RECORDING.csv

Shares no code with the engine or its client: messages by struct from docs/protocol.md, distances by Vincenty's inverse
formula on WGS84. Ships nearer than MARGIN to the edge of a volume may be in an answer or not: queries promise 1 mm +
1e-6 of the distance (0.1 m at 100 km); all others must be there exactly once, or not at all.
"""

import csv
import math
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from engine_process import PATIENCE, eventually, free_port

HEADER = struct.Struct("<BBHIQQQHHI16sQ16s")
PREAMBLE = struct.Struct("<16sII")
UPDATE = struct.Struct("<16s3dIiIIff3eHHBBBBH")
ACK = struct.Struct("<16sQBBHI")
ACK_RECORD = struct.Struct("<BBBBIII")
QUERY = struct.Struct("<IBBHHHHH3d3d3dff2Q2Q")
ANSWER = struct.Struct("<IBBHQIHH2QQ")
RESULT = struct.Struct("<16s3dif3eeHBBBBBB")
assert (HEADER.size, PREAMBLE.size, UPDATE.size, ACK.size, ACK_RECORD.size) == (80, 24, 80, 32, 16)
assert (QUERY.size, ANSWER.size, RESULT.size) == (128, 48, 64)

TYPE_PING, TYPE_UPDATE, TYPE_QUERY, TYPE_RESPONSE = 0x03, 0x10, 0x11, 0x12
POINT, SPHERE, BOX = 1, 2, 3
ACTIVE, INACTIVE = 0, 1
PRECISION_M = 10.0
MARGIN = 0.2  # m
WORLD = bytes.fromhex("776f726c64004000800000000000aa01")
MOMENTS = 5
SEED = 20140815


def vincenty(lat1, lon1, lat2, lon2):
    """Metres along WGS84 (Vincenty 1975, inverse), 0.1 mm or better at these distances."""
    a, f = 6378137.0, 1 / 298.257223563
    b = a * (1 - f)
    u1 = math.atan((1 - f) * math.tan(math.radians(lat1)))
    u2 = math.atan((1 - f) * math.tan(math.radians(lat2)))
    difference = lam = math.radians(lon2 - lon1)
    for _ in range(100):
        across = math.cos(u2) * math.sin(lam)
        along = math.cos(u1) * math.sin(u2) - math.sin(u1) * math.cos(u2) * math.cos(lam)
        sin_s = math.hypot(across, along)
        if sin_s == 0:
            return 0.0
        cos_s = math.sin(u1) * math.sin(u2) + math.cos(u1) * math.cos(u2) * math.cos(lam)
        s = math.atan2(sin_s, cos_s)
        sin_a = math.cos(u1) * math.cos(u2) * math.sin(lam) / sin_s
        cos2_a = 1 - sin_a**2
        cos_2m = cos_s - 2 * math.sin(u1) * math.sin(u2) / cos2_a if cos2_a else 0.0
        c = f / 16 * cos2_a * (4 + f * (4 - 3 * cos2_a))
        before = lam
        lam = difference + (1 - c) * f * sin_a * (
            s + c * sin_s * (cos_2m + c * cos_s * (2 * cos_2m**2 - 1)))
        if abs(lam - before) < 1e-13:
            break
    square = cos2_a * (a * a - b * b) / (b * b)
    big_a = 1 + square / 16384 * (4096 + square * (-768 + square * (320 - 175 * square)))
    big_b = square / 1024 * (256 + square * (-128 + square * (74 - 47 * square)))
    delta = big_b * sin_s * (cos_2m + big_b / 4 * (
        cos_s * (2 * cos_2m**2 - 1) - big_b / 6 * cos_2m * (4 * sin_s**2 - 3) * (4 * cos_2m**2 - 3)))
    return b * big_a * (s - delta)


class Client:
    """The few messages that this test needs."""

    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.incarnation = int(time.time())
        self.stream = random.SystemRandom().getrandbits(32)
        self.sequence = 0

    def header(self, kind, count, flags=0):
        self.sequence += 1
        return HEADER.pack(1, kind, flags, self.stream, self.sequence, int(time.time() * 1000), 0, count, 0, 0,
                           WORLD, 0, bytes(16))

    def ping(self):
        opaque = os.urandom(16)
        self.socket.settimeout(0.1)
        try:
            self.socket.send(self.header(TYPE_PING, 1) + opaque)
            return self.socket.recv(2048)[80:] == opaque
        except OSError:
            return False

    def publish(self, records):
        """Sends one packet and returns the statuses of its records."""
        name = os.urandom(16)
        packet = self.header(TYPE_UPDATE, len(records), 1) + PREAMBLE.pack(name, self.incarnation, 0) + b"".join(records)
        self.socket.settimeout(PATIENCE)
        self.socket.send(packet)
        while True:
            data = self.socket.recv(2048)
            if HEADER.unpack_from(data)[1] != TYPE_UPDATE:
                continue
            echoed, request, code, reason, _, _ = ACK.unpack_from(data, 80)
            if echoed != name or request != self.sequence:
                continue
            assert code == 0, f"packet refused: code {code}, reason {reason}"
            records_acked = [ACK_RECORD.unpack_from(data, 112 + 16 * i) for i in range(HEADER.unpack_from(data)[7])]
            assert len(records_acked) == len(records) and len(data) == 112 + 16 * len(records)
            return records_acked

    def query(self, kind, a, b, states=0):
        """All results of one query, its parts put together: [(id, position, distance, state)]."""
        body = QUERY.pack(7, kind, 0, 0, 0, 0, 0, states, *a, *b, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        self.socket.settimeout(PATIENCE)
        self.socket.send(self.header(TYPE_QUERY, 1) + body)
        parts, last = {}, None
        while last is None or len(parts) <= last:
            data = self.socket.recv(2048)
            head = HEADER.unpack_from(data)
            if head[1] != TYPE_RESPONSE:
                continue
            at = 80
            for _ in range(head[7]):
                number, code, reason, flags, request, stream, part, count, _, _, _ = ANSWER.unpack_from(data, at)
                at += ANSWER.size
                results = [RESULT.unpack_from(data, at + RESULT.size * i) for i in range(count)]
                at += RESULT.size * count
                if request != self.sequence or stream != self.stream:
                    continue
                assert code == 0, f"query refused: code {code}, reason {reason}"
                assert number == 7 and part not in parts and not flags & 2, (number, part, flags)
                parts[part] = results
                if flags & 1:
                    last = part
            assert at == len(data)
        return [(r[0], r[1:4], r[5], r[11]) for part in sorted(parts) for r in parts[part]]


def ship_id(mmsi):
    return b"mmsi\0\0\0\0" + mmsi.to_bytes(8, "big")


def read_recording(path):
    reports = []
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            speed, course = row["sog_mps"], row["cog_deg"]
            east = north = 0.0
            if speed and course:
                east = float(speed) * math.sin(math.radians(float(course)))
                north = float(speed) * math.cos(math.radians(float(course)))
            state = INACTIVE if row["nav_status"] in ("1", "5", "6") else ACTIVE
            reports.append((int(row["mmsi"]), float(row["lat_deg"]), float(row["lon_deg"]), east, north, state))
    return reports


def encode(report, sequence):
    mmsi, latitude, longitude, east, north, state = report
    return UPDATE.pack(ship_id(mmsi), latitude, longitude, 0.0, sequence, 0, 3600000, 0, 0.0, PRECISION_M, east, north, 0.0,
                       0, 0, 0, 0, 1, 0, state | 0x400)


class Comparison:
    """Counts what was compared, so that a test of nothing cannot pass."""

    def __init__(self):
        self.queries = self.expected = self.near_edge = self.empty = 0

    def check(self, what, ships, found, inside, distance):
        """inside(ship) in metres: positive within, negative without; distance(ship) as the answer must state it."""
        ids = [f[0] for f in found]
        assert len(ids) == len(set(ids)), f"{what}: a ship twice"
        by_id = {ship_id(mmsi): ship for mmsi, ship in ships.items()}
        strangers = set(ids) - set(by_id)
        assert not strangers, f"{what}: ships that are not in the recording: {strangers}"
        for name, ship in by_id.items():
            depth = inside(ship)
            if abs(depth) <= MARGIN:
                self.near_edge += 1
            elif depth > 0:
                assert name in ids, f"{what}: {name[8:].hex()} is {depth:.2f} m within and was not found"
            else:
                assert name not in ids, f"{what}: {name[8:].hex()} is {-depth:.2f} m outside and was found"
        for name, position, stated, state in found:
            ship = by_id[name]
            assert abs(position[0] - ship[0]) < 1e-9 and abs(position[1] - ship[1]) < 1e-9, f"{what}: {position} is not {ship}"
            assert state == ship[2] | 8, f"{what}: state {state}"
            if distance:
                metres = distance(ship)
                assert abs(stated - metres) <= 0.001 + 2e-6 * metres, f"{what}: {stated} m stated, {metres} m computed"
        self.queries += 1
        self.expected += len(found)
        self.empty += not found


def compare(client, ships, rng, comparison):
    places = list(ships.values())
    for number in range(60):
        ship = rng.choice(places)
        centre = (ship[0] + rng.uniform(-0.2, 0.2), ship[1] + rng.uniform(-0.4, 0.4), 0.0)
        radius = 10 ** rng.uniform(2.3, 4.95)  # 200 m to 89 km
        distance = lambda s: vincenty(centre[0], centre[1], s[0], s[1])
        states = (0, 1 << ACTIVE, 1 << INACTIVE)[number % 3]
        some = {m: s for m, s in ships.items() if not states or states >> s[2] & 1}
        found = client.query(SPHERE, centre, (radius, 0.0, 0.0), states)
        comparison.check(f"sphere {centre} {radius:.1f} m", some, found, lambda s: radius - distance(s), distance)
    for _ in range(40):
        a, b = rng.choice(places), rng.choice(places)
        south, north = sorted((a[0] - 0.003, b[0] + 0.005))
        west, east = sorted((a[1] - 0.007, b[1] + 0.009))
        found = client.query(BOX, (south, west, 0.0), (north, east, 0.0))

        def inside(s):
            metres = 111000 * math.cos(math.radians(s[0]))
            return min((s[0] - south) * 111000, (north - s[0]) * 111000, (s[1] - west) * metres, (east - s[1]) * metres)

        comparison.check(f"box {south},{west} {north},{east}", ships, found, inside, None)
    for ship in places[:30]:
        here = (ship[0] + rng.uniform(-8e-5, 8e-5), ship[1], 0.0)
        distance = lambda s: vincenty(here[0], here[1], s[0], s[1])
        found = client.query(POINT, here, (0.0, 0.0, 0.0))
        comparison.check(f"point {here}", ships, found, lambda s: PRECISION_M - distance(s), distance)


def settled(client, ships):
    """Whether each ship is where it was last reported."""
    low, high = ([pick(ship[axis] for ship in ships.values()) for axis in (0, 1)] for pick in (min, max))
    found = client.query(BOX, (low[0] - 0.1, low[1] - 0.1, 0.0), (high[0] + 0.1, high[1] + 0.1, 0.0))
    places = {ship_id(mmsi): ship[:2] for mmsi, ship in ships.items()}
    return {f[0]: (round(f[1][0], 6), round(f[1][1], 6)) for f in found} == {i: (round(p[0], 6), round(p[1], 6)) for i, p in places.items()}


def run(client, reports):
    sequences, ships = {}, {}
    statuses = [0] * 5
    rng = random.Random(SEED)
    comparison = Comparison()
    stops = [len(reports) * (i + 1) // MOMENTS for i in range(MOMENTS)]
    for moment, stop in enumerate(stops):
        begin = stops[moment - 1] if moment else 0
        for at in range(begin, stop, 16):
            batch = reports[at:min(at + 16, stop)]
            records = []
            for report in batch:
                sequences[report[0]] = sequences.get(report[0], 0) + 1
                records.append(encode(report, sequences[report[0]]))
                ships[report[0]] = (report[1], report[2], report[5])
            for acked, report in zip(client.publish(records), batch):
                statuses[acked[0]] += 1
                assert acked[0] <= 2, f"report of {report[0]}: status {acked[0]}, code {acked[1]}, reason {acked[2]}"
        # What is ACCEPTED is on its way: a grace period.
        eventually(lambda: settled(client, ships), f"moment {moment + 1}")
        compare(client, ships, rng, comparison)
        print(f"moment {moment + 1}: {stop} reports, {len(ships)} ships, {comparison.queries} queries agree")
    assert sum(statuses) == len(reports)
    assert comparison.expected > 1000 and comparison.empty < comparison.queries // 2, "too little was compared"
    assert comparison.near_edge < 20, "too much lies within the margin"
    print(f"{len(reports)} reports: {statuses[0]} applied, {statuses[1]} accepted, {statuses[2]} coalesced; "
          f"{comparison.queries} queries, {comparison.expected} results, {comparison.empty} answers empty, "
          f"{comparison.near_edge} ships within {MARGIN} m of an edge")


def main(presenced, recording):
    # Vincenty's own example of this ellipsoid's kind: Flinders Peak to Buninyong, 54972.271 m.
    assert abs(vincenty(-37.95103341666667, 144.42486788888888, -37.65282113888889, 143.92649552777777) - 54972.271) < 0.001
    reports = read_recording(recording)
    assert len(reports) == 2867 and len({r[0] for r in reports}) == 95
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "presenced.yaml")
        with open(path, "w") as file:
            file.write(f"sources:\n  - socket: {{address: 127.0.0.1, port: {port}}}\nspaces:\n"
                       "  - {id: 776f726c-6400-4000-8000-00000000aa01, name: world, kind: geodetic, worldwide: true}\n")
        with open(os.path.join(folder, "log"), "w+") as log:
            engine = subprocess.Popen([presenced, "--config", path], stdout=log, stderr=log)
            try:
                client = Client(port)
                deadline = time.monotonic() + PATIENCE
                while not client.ping():
                    if engine.poll() is not None or time.monotonic() > deadline:
                        log.seek(0)
                        sys.exit("presenced did not come up:\n" + log.read())
                    time.sleep(0.05)
                run(client, reports)
            finally:
                engine.send_signal(signal.SIGTERM)
                try:
                    code = engine.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    engine.kill()
                    raise
            assert code == 0, f"presenced ended with {code}"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])

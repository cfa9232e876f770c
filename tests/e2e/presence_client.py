"""A client of the presence protocol in plain Python, written from docs/protocol.md: shares no code with the engine.

It counts what it sends and receives, so that a test can set its own counts against the engine's.
"""
import math
import pathlib
import re
import socket
import struct
import time
import uuid

import engine_process

PING, PONG, UPDATE, QUERY, RESPONSE, WITHDRAW, STATE_REQUEST, STATE_RESPONSE = (
    0x03, 0x04, 0x10, 0x11, 0x12, 0x15, 0x21, 0x22)
FLAG_ACK, FLAG_RESPONSE = 1, 2
APPLIED, ACCEPTED, COALESCED, REFUSED, DROPPED = range(5)
POINT, SPHERE, BOX = 1, 2, 3
LAST, TRUNCATED, WHOLE_PACKET = 1, 2, 4

HEADER = struct.Struct("<BBHIQQQHHI16sQ16s")
UPDATE_PREAMBLE = struct.Struct("<16sII")
UPDATE_RECORD = struct.Struct("<16s3dIiIIff3eHHBBBBH")
WITHDRAW_RECORD = struct.Struct("<16sIi")
ACK_PREAMBLE = struct.Struct("<16sQBBHI")
ACK_RECORD = struct.Struct("<BBBBIII")
QUERY_RECORD = struct.Struct("<IBBHHHHH3d3d3dff2Q2Q")
ANSWER = struct.Struct("<IBBHQIHH2QQ")
RESULT = struct.Struct("<16s3dif3eeHBBBBBB")
STATE = struct.Struct("<HHIQ")
STATE_PREAMBLE = struct.Struct("<HHHBBQ")
COUNTER = struct.Struct("<HHIQ")
SIZES = ((HEADER, 80), (UPDATE_PREAMBLE, 24), (UPDATE_RECORD, 80), (WITHDRAW_RECORD, 24), (ACK_PREAMBLE, 32),
         (ACK_RECORD, 16), (QUERY_RECORD, 128), (ANSWER, 48), (RESULT, 64), (STATE, 16), (STATE_PREAMBLE, 16),
         (COUNTER, 16))
assert all(s.size == n for s, n in SIZES)

LOCAL = uuid.UUID("6c6f6361-6c00-4000-8000-000000000001").bytes
WORLD = uuid.UUID("776f726c-6400-4000-8000-000000000001").bytes


def names():
    """Counter names by index and reason numbers by name: the lists are data in two headers."""
    base = pathlib.Path(__file__).resolve().parents[2] / "engine" / "base"
    counters = re.findall(r"PE_COUNTER\((\w+), \"", (base / "counters.h").read_text())
    reasons = re.findall(r"PE_REASON\((\w+), (PACKET|RECORD|QUERY|SUBSCRIBE), (\w+),", (base / "reasons.h").read_text())
    listed = counters + ["none"] + [f"{verdict.lower()}_{name}" for name, _, verdict in reasons]
    return listed, {name: i + 1 for i, (name, _, _) in enumerate(reasons)}


COUNTERS, REASONS = names()


def entity(n):
    return struct.pack("<QQ", 0x1122334455667788, n + 1)


def update(entity_id, position, sequence, ttl_ms=0, entity_type=1, state=0, precision=0.0, radius=0.0):
    return UPDATE_RECORD.pack(entity_id, *position, sequence, 0, ttl_ms, 0, radius, precision, 0, 0, 0, 0, 0, 0, 0,
                              entity_type, 0, state)


def withdrawal(entity_id, sequence):
    return WITHDRAW_RECORD.pack(entity_id, sequence, 0)


def query(kind, a, b=(0, 0, 0), query_id=1, max_results=0, flags=0):
    return QUERY_RECORD.pack(query_id, kind, 0, flags, max_results, 0, 0, 0, *a, *b, 0, 0, 0, 0, 0, 0, 0, 0, 0)


class Timeout(Exception):
    pass


class Client:
    def __init__(self, address, port=10202, source=None, timeout=None):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        if source:
            self.socket.bind(source)
        self.socket.connect((address, port))
        # Far more than a busy machine takes.
        self.timeout = timeout or engine_process.patience()
        self.socket.settimeout(self.timeout)
        self.incarnation = int(time.time()) - 1
        self.sequence = 0
        self.sent = self.sent_bytes = self.received = self.received_bytes = 0

    def close(self):
        self.socket.close()

    def message(self, kind, body, count=1, flags=0, space=bytes(16), **header):
        self.sequence += 1
        h = dict(version=1, stream=7, sequence=self.sequence, timestamp=int(time.time() * 1000), session=0, reserved0=0,
                 reserved1=0, reserved2=0, tag=bytes(16))
        h.update(header)
        return HEADER.pack(h["version"], kind, flags, h["stream"], h["sequence"], h["timestamp"], h["session"], count,
                           h["reserved0"], h["reserved1"], space, h["reserved2"], h["tag"]) + body

    def send(self, data):
        self.socket.send(data)
        self.sent += 1
        self.sent_bytes += len(data)

    def receive(self):
        try:
            data = self.socket.recv(65535)
        except socket.timeout:
            if self.socket.gettimeout() > engine_process.IMPATIENCE:
                engine_process.gave_up()
            raise Timeout from None
        self.received += 1
        self.received_bytes += len(data)
        header = HEADER.unpack_from(data)
        if header[0] != 1:
            raise ValueError("version")
        return header, data[HEADER.size:]

    def silent(self, seconds=0.15):
        """Nothing comes within so long."""
        self.socket.settimeout(seconds)
        try:
            self.receive()
        except Timeout:
            return True
        finally:
            self.socket.settimeout(self.timeout)
        return False

    def settle(self):
        """Takes what comes until a ping is answered: what was sent before it has been answered by then, however late the engine is."""
        opaque = struct.pack("<QQ", self.sequence, 98)
        self.send(self.message(PING, opaque))
        while True:
            header, body = self.receive()
            if header[1] == PONG and body == opaque:
                return

    def ping(self):
        opaque = struct.pack("<QQ", self.sequence, 99)
        self.send(self.message(PING, opaque))
        header, body = self.receive()
        return header[1] == PONG and body == opaque

    def updates(self, records, ack=True, space=LOCAL):
        body = UPDATE_PREAMBLE.pack(uuid.uuid4().bytes, self.incarnation, 0) + b"".join(records)
        self.send(self.message(UPDATE, body, len(records), FLAG_ACK if ack else 0, space))
        return self.acknowledgement(UPDATE, body[:16]) if ack else None

    def withdraw(self, records, ack=True, space=LOCAL):
        body = UPDATE_PREAMBLE.pack(uuid.uuid4().bytes, self.incarnation, 0) + b"".join(records)
        self.send(self.message(WITHDRAW, body, len(records), FLAG_ACK if ack else 0, space))
        return self.acknowledgement(WITHDRAW, body[:16]) if ack else None

    def acknowledgement(self, kind, broadcast):
        """[(status, code, reason, known incarnation, known sequence)], or the packet's (code, reason)."""
        header, body = self.receive()
        echoed, request, code, reason, _, _ = ACK_PREAMBLE.unpack_from(body)
        if header[1] != kind or header[2] != FLAG_RESPONSE or echoed != broadcast or request != self.sequence:
            raise ValueError("not the acknowledgement")
        if code:
            return code, reason
        rows = [ACK_RECORD.unpack_from(body, 32 + 16 * i) for i in range(header[7])]
        if len(body) != 32 + 16 * len(rows):
            raise ValueError("acknowledgement's length")
        return [(status, code, reason, inc, seq) for status, code, reason, _, inc, seq, _ in rows]

    def query(self, record, space=LOCAL):
        """{entity id: (position, distance)} of all parts, and whether it was truncated."""
        self.send(self.message(QUERY, record, 1, 0, space))
        found, parts = {}, 0
        while True:
            header, body = self.receive()
            if header[1] != RESPONSE:
                raise ValueError("not a response")
            at = 0
            for _ in range(header[7]):
                a = ANSWER.unpack_from(body, at)
                at += ANSWER.size
                if a[1]:
                    return a[1], a[2]
                if a[4] != self.sequence or a[6] != parts:
                    raise ValueError("part out of order")
                parts += 1
                for _ in range(a[7]):
                    r = RESULT.unpack_from(body, at)
                    at += RESULT.size
                    if r[0] in found:
                        raise ValueError("met twice")
                    found[r[0]] = (r[1:4], r[5])
                last, truncated = a[3] & LAST, bool(a[3] & TRUNCATED)
            if at != len(body):
                raise ValueError("response's length")
            if last:
                return found, truncated

    def state(self):
        """{counter name: value}, over as many requests as it takes. A request is in its own counts; the first one's hold
        rx_packets, and sent_at_state is what this client had sent by then."""
        values, first, self.sent_at_state = {}, 0, self.sent + 1
        while True:
            self.send(self.message(STATE_REQUEST, STATE.pack(1, first, 0, 0)))
            header, body = self.receive()
            _, at, total, code, reason, _ = STATE_PREAMBLE.unpack_from(body)
            if header[1] != STATE_RESPONSE or code or at != first:
                raise ValueError(f"state refused: code {code} reason {reason}")
            for i in range(header[7]):
                index, _, _, value = COUNTER.unpack_from(body, 16 + 16 * i)
                values[COUNTERS[index]] = value
            first += header[7]
            if first >= total or header[7] == 0:
                return values


def distance(a, b):
    return math.dist(a, b)

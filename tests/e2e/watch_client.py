"""A subscriber of standing queries in plain Python, written from docs/protocol.md: shares no code with the engine.

It hands events on in the order of their numbers, each once, asks again for what is missing, and checks as it goes what the protocol
promises of them: every ENTER has exactly one LEAVE before the next one, MOVEs only between them, and a GAP or the end voids all.
"""
import collections
import struct
import time

import engine_process
import presence_client as pc

SUBSCRIBE, NOTICE = 0x14, 0x16
OPEN, ADD, REMOVE, RESUME, ACKNOWLEDGE, CLOSE, RENEW = range(1, 8)
ENTER, MOVE, LEAVE, SNAPSHOT_END, GAP, ENDED = range(1, 7)
LEFT_MOVED, LEFT_GONE, LEFT_ENDED = range(1, 4)
END_CLOSED, END_EXPIRED, END_REPLACED, END_ENGINE = range(1, 5)
WANT_MOVES, FILTER_UPDATES, BATCH_UPDATES = 1, 2, 4
SNAPSHOT, CORRECTED = 1, 2
FOLLOW = 1
NONE_AT_FAULT = 0xFFFF

PREAMBLE = struct.Struct("<IIBBHHHfIQIIQ")
FENCE = struct.Struct("<IHHfIII16s")
FENCE_NAME = struct.Struct("<II")
SUBSCRIBED = struct.Struct("<IIBBBBHHIIQIIQ")
NOTICE_PREAMBLE = struct.Struct("<IIQHHIQ")
EVENT = struct.Struct("<IBBHQ")
assert [s.size for s in (PREAMBLE, FENCE, FENCE_NAME, SUBSCRIBED, NOTICE_PREAMBLE, EVENT)] == [48, 40, 8, 48, 32, 16]

Answer = collections.namedtuple("Answer", "code reason fault fences message next lease")
Event = collections.namedtuple("Event", "sequence fence kind cause flags time_ms id position state ttl")


def fence(fence_id, query, margin=0.0, enter_ms=0, leave_ms=0, follow=None, extension=b""):
    """A fence's 168 bytes and its extension."""
    return (FENCE.pack(fence_id, FOLLOW if follow else 0, 0, margin, enter_ms, leave_ms, 0, follow or bytes(16)) + query, extension)


def sphere(fence_id, centre, radius, **rule):
    flags, types, states = rule.pop("flags", 0), rule.pop("types", 0), rule.pop("states", 0)
    query = pc.QUERY_RECORD.pack(1, pc.SPHERE, 0, flags, 0, 0, types, states, *centre, radius, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    return fence(fence_id, query, **rule)


def box(fence_id, low, high, **rule):
    return fence(fence_id, pc.query(pc.BOX, low, high), **rule)


def polygon(fence_id, vertices, **rule):
    """One ring, of any height."""
    ring = struct.pack("<BBHIdd", 0, 1, len(vertices), 0, float("-inf"), float("inf")) + struct.pack("<HHHH", len(vertices), 0, 0, 0)
    ring += b"".join(struct.pack("<dd", *v) for v in vertices)
    extension = struct.pack("<HHI", 1, len(ring), 0) + ring
    query = bytearray(pc.QUERY_RECORD.pack(1, 4, 0, 0x10, 0, 0, 0, 0, *vertices[0], 0.0, *([0] * 8), 0, 0, 0, 0))
    struct.pack_into("<H", query, 112, len(extension))
    return fence(fence_id, bytes(query), extension=extension, **rule)


class Watcher(pc.Client):
    """One subscription. `lose(first_sequence, events)` true: that notice is not seen. Events are gathered in self.events."""

    def __init__(self, port, subscription=1, epoch=None, space=pc.LOCAL, address="127.0.0.1", stream=7):
        super().__init__(address, port)
        self.subscription, self.space, self.stream = subscription, space, stream
        self.epoch = epoch if epoch is not None else int(time.time())
        self.begin()
        self.lose = lambda first, events: False
        self.lost = 0

    def begin(self):
        self.next, self.pending, self.known = 1, {}, 1
        self.events, self.members, self.ended, self.message_number = [], {}, None, 0
        self.gaps = self.repeated = self.notices = 0
        self.window = 0

    def subscribe(self, op, count=0, records=b"", priority=0, flags=0, frequency=0, window=0, resolution=0.0, lease_ms=0, sequence=0,
                  message=0):
        body = PREAMBLE.pack(self.subscription, self.epoch, op, priority, flags, frequency, window, resolution, lease_ms, sequence,
                             message, 0, 0)
        return self.message(SUBSCRIBE, body + records, count, 0, self.space, stream=self.stream)

    def request(self, op, *arguments, expect=0, **fields):
        """Sends and waits for the answer, meanwhile taking notices. The answer, its code checked."""
        data = self.subscribe(op, *arguments, **fields)
        number = self.sequence
        silent = busy = 0
        while silent < 60 and busy < 6000:
            self.send(data)
            end, answer = time.monotonic() + 1.0, None
            while answer is None and time.monotonic() < end:
                answer = self.take(0.25, number)
            if answer is None:
                silent += 1
                continue
            if answer.reason == pc.REASONS["subscribe_busy"]:
                busy += 1
                time.sleep(0.01)
                continue
            assert answer.reason == expect, f"op {op}: code {answer.code} reason {answer.reason}"
            return answer
        raise pc.Timeout

    def open(self, *fences, window=0, **fields):
        self.begin()
        self.window = window
        return self.request(OPEN, len(fences), b"".join(f for f, _ in fences) + b"".join(e for _, e in fences), window=window,
                            **fields)

    def add(self, *fences, **fields):
        answer = self.request(ADD, len(fences), b"".join(f for f, _ in fences) + b"".join(e for _, e in fences),
                              message=self.message_number + 1, **fields)
        self.message_number += not answer.code
        return answer

    def remove(self, *names, **fields):
        answer = self.request(REMOVE, len(names), b"".join(FENCE_NAME.pack(n, 0) for n in names), message=self.message_number + 1,
                              **fields)
        self.message_number += not answer.code
        return answer

    def resume(self, **fields):
        return self.request(RESUME, sequence=self.next, **fields)

    def take(self, seconds, number=None):
        """One message, if one comes; the answer to request `number` is returned."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            header, body = self.receive()
        except pc.Timeout:
            return None
        finally:
            self.socket.settimeout(self.timeout)
        return self.taken(header, body, number)

    def taken(self, header, body, number=None):
        if header[1] == NOTICE:
            self.notice(header, body)
        elif header[1] == SUBSCRIBE and header[2] == pc.FLAG_RESPONSE:
            a = SUBSCRIBED.unpack(body)
            assert header[7] == 0 and header[3] == self.stream
            if a[:2] == (self.subscription, self.epoch):
                if not a[3]:
                    self.known = max(self.known, a[10])
                if a[13] == number:
                    return Answer(a[3], a[4], a[6], a[8], a[9], a[10], a[11])
        else:
            raise AssertionError(f"message of type {header[1]:#x} flags {header[2]}")
        return None

    def notice(self, header, body):
        subscription, epoch, first, flags, r0, r1, r2 = NOTICE_PREAMBLE.unpack_from(body)
        assert (flags, r0, r1, r2) == (0, 0, 0, 0) and first >= 1 and header[3] == self.stream
        assert 1 <= header[7] <= 16 and len(body) == 32 + 80 * header[7]
        if (subscription, epoch) != (self.subscription, self.epoch):
            return
        self.notices += 1
        self.known = max(self.known, first + header[7])
        if self.lose(first, header[7]):
            self.lost += 1
            return
        for i in range(header[7]):
            fence_id, kind, cause, flags, time_ms = EVENT.unpack_from(body, 32 + 80 * i)
            r = pc.RESULT.unpack_from(body, 48 + 80 * i)
            event = Event(first + i, fence_id, kind, cause, flags, time_ms, r[0], r[1:4], r[11], r[10])
            if event.sequence < self.next:
                self.repeated += 1
                continue
            if kind == GAP:  # all before it is void
                self.pending = {s: e for s, e in self.pending.items() if s > event.sequence}
                self.next = event.sequence
            before = self.pending.setdefault(event.sequence, event)
            assert before[:7] == event[:7], f"{before} told again as {event}"
        while self.next in self.pending:
            self.hand_on(self.pending.pop(self.next))
            self.next += 1
        if self.window:
            self.send(self.subscribe(ACKNOWLEDGE, sequence=self.next))

    def hand_on(self, e):
        pair = (e.fence, e.id)
        assert self.ended is None, f"{e} after the end"
        if e.kind == ENTER:
            assert pair not in self.members, f"{e}: is a member"
            self.members[pair] = e.position
        elif e.kind == MOVE:
            assert pair in self.members, f"{e}: is no member"
            self.members[pair] = e.position
        elif e.kind == LEAVE:
            assert self.members.pop(pair, None) is not None, f"{e}: is no member"
            assert e.cause in (LEFT_MOVED, LEFT_GONE, LEFT_ENDED)
        elif e.kind == GAP:
            self.gaps += 1
            self.members.clear()
        elif e.kind == ENDED:
            self.ended = e.cause
        else:
            assert e.kind == SNAPSHOT_END, e
        self.events.append(e)

    def pump(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.take(end - time.monotonic())
        return self

    def settle(self):
        """Takes what comes until a ping is answered: what was sent before it has been answered by then, however late the engine is."""
        opaque = struct.pack("<QQ", self.sequence, 98)
        self.send(self.message(pc.PING, opaque))
        while True:
            header, body = self.receive()
            if header[1] == pc.PONG and body == opaque:
                return
            self.taken(header, body)

    def until(self, what, seconds=60.0, mend=True):
        """Takes what comes until what() is true, for as long as events come in, and for so long without. mend: asks again for what is missing, and now
        and then whether something is."""
        seconds, quiet = engine_process.patience(seconds), 0
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() >= end:
                engine_process.gave_up()
                raise AssertionError(f"no more within {seconds} s; events {self.events[-20:]}, next {self.next}, known {self.known}")
            before = self.next
            self.take(0.05)
            if self.next != before:
                end = time.monotonic() + seconds
            quiet = 0 if self.next != before else quiet + 1
            if mend and quiet >= 2 and self.ended is None:
                self.resume()
                quiet = 0
        return self

    def kinds(self, fence_id=None, entity=None):
        """What was told of a fence and an entity, in order, as (kind, cause)."""
        return [(e.kind, e.cause) for e in self.events if e.kind <= LEAVE and fence_id in (None, e.fence) and entity in (None, e.id)]

    def inside(self, fence_id):
        return {i for f, i in self.members if f == fence_id}

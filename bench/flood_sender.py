"""The one who floods: a process of its own that sends what a kind of flood is made of, at a rate that is set from outside, and counts what comes back.

It sends to the engine, or for comparison to a socket that nobody reads: what its sending alone does to others on a machine with few processors.
"""
import ctypes
import multiprocessing
import os
import pathlib
import random
import socket
import struct
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import presence_client as pc  # noqa: E402

FASTEST = 1e9  # a rate that nothing reaches
LIBC = ctypes.CDLL(None, use_errno=True)
# Networks that each kind comes from, each a /24 of its own where the engine counts by network.
SOURCES = {"junk": 4, "unknown": 64, "over_budget": 4, "wrong_key": 16}


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("name_bytes", ctypes.c_uint), ("parts", ctypes.POINTER(Iovec)),
                ("part_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_bytes", ctypes.c_size_t),
                ("flags", ctypes.c_int), ("padding", ctypes.c_int), ("sent", ctypes.c_uint)]


assert ctypes.sizeof(Message) == 64  # the kernel's mmsghdr


class Burst:
    """Datagrams that one call sends from one socket."""

    def __init__(self, port, source):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        self.next = 0

    def load(self, datagrams):
        self.socket.setblocking(False)
        self.buffers = [ctypes.create_string_buffer(d, max(len(d), 1)) for d in datagrams]
        self.count = len(datagrams)
        self.sizes = [len(d) for d in datagrams]
        self.parts = (Iovec * self.count)(*[Iovec(ctypes.addressof(b), n) for b, n in zip(self.buffers, self.sizes)])
        self.messages = (Message * self.count)(*[
            Message(None, 0, ctypes.pointer(self.parts[i]), 1, None, 0, 0, 0, 0) for i in range(self.count)])
        return self

    def send(self, count):
        """Messages and bytes that left, of the next `count`; all of them have their turn."""
        first = self.next
        count = min(count, self.count - first)
        done = LIBC.sendmmsg(self.socket.fileno(), ctypes.byref(self.messages[first]), count, socket.MSG_DONTWAIT)
        done = max(done, 0)
        self.next = (first + max(done, 1)) % self.count
        return done, sum(self.sizes[first:first + done])

    def received(self):
        got = 0
        for _ in range(256):
            try:
                got += len(self.socket.recv(2048))
            except OSError:
                break
        return got


def hello(burst, facts, chance):
    """Handshakes of a key that is in no keyring: with a cookie that holds, for who asks for one, and with another's."""
    import presence_guard as pg
    handshake = pg.Handshake(chance.randbytes(32), facts["engine"], level=pg.SIGN)
    burst.socket.settimeout(2.0)
    try:
        burst.socket.send(handshake.knock())
        handshake.read_cookie(burst.socket.recv(2048))
    except (OSError, ValueError):
        handshake.cookie = chance.randbytes(16)
    mine = handshake.hello()
    handshake.cookie = chance.randbytes(16)
    return mine, handshake.hello()


def wrong_key(burst, facts, chance, update, question):
    """What seems to be of a session that there is, of one that there is not, and handshakes that fail."""
    mine, other = hello(burst, facts, chance)
    out = []
    for i in range(64):
        sealed = bytearray(update if i & 8 else question)
        struct.pack_into("<Q", sealed, 8, chance.randrange(1 << 32, 1 << 40))
        # Of the worker that the true one is at.
        session = facts["session"] if i % 4 < 2 else facts["session"] ^ chance.randrange(1, 1 << 40) << 13
        struct.pack_into("<Q", sealed, 24, session)
        sealed[64:80] = chance.randbytes(16)
        out.append(mine if i % 16 == 3 else other if i % 16 == 7 else bytes(sealed))
    return out


def datagrams(kind, chance, number, burst, facts):
    maker = pc.Client("127.0.0.1", 9)  # makes messages, sends none
    question = maker.message(pc.QUERY, pc.query(pc.SPHERE, (0, 0, 0), (500, 0, 0)), space=pc.LOCAL)
    update = maker.message(pc.UPDATE, pc.UPDATE_PREAMBLE.pack(bytes(16), maker.incarnation, 0) +
                           pc.update(pc.entity(50000 + number), (1, 2, 3), 1, ttl_ms=60000))
    maker.close()
    if kind == "wrong_key":
        return wrong_key(burst, facts, chance, update, question)
    out = []
    for i in range(64):
        if kind == "junk" and i % 2:
            out.append(chance.randbytes(chance.choice((0, 1, 40, 79, 80, 96, 200, 1452))))
        elif kind == "junk":
            broken = bytearray(chance.choice((question, update)))
            broken[chance.randrange(34)] ^= 1 << chance.randrange(8)  # of what is looked at first
            out.append(bytes(broken))
        else:
            out.append(question if kind == "unknown" or i % 2 else update)
    return out


def bursts_of(kind, port, facts, seed=""):
    chance = random.Random(f"flood {kind}{seed}")
    out = []
    for n in range(SOURCES[kind]):
        source = f"127.0.9.{1 + n}" if kind in ("junk", "over_budget") else f"127.{1 + n}.7.{1 + n}"
        burst = Burst(port, source)
        out.append(burst.load(datagrams(kind, chance, n, burst, facts)))
    return out


def run(kind, port, facts, rate, counts):
    """rate: messages a second; 0 = none now, below 0 to the sink, None no more. counts: messages, bytes, bytes back."""
    os.nice(10)  # it stands for other machines: the processors here are the engine's and the client's first
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    sink.bind(("127.0.0.1", 0))
    bursts = bursts_of(kind, port, facts)
    blind = [Burst(sink.getsockname()[1], "127.0.0.1").load(datagrams("unknown", random.Random(1), 0, None, None))]
    parent, turn, begin, done_now, before = os.getppid(), 0, time.monotonic(), 0, 0.0
    counts[3] = 1  # ready
    while rate.value == rate.value and os.getppid() == parent:
        wanted, now = rate.value, time.monotonic()
        if wanted != before:
            before, begin, done_now = wanted, now, 0
        owed = min(int((now - begin) * abs(wanted)) - done_now, 256) if abs(wanted) < FASTEST else 64
        to = bursts if wanted > 0 else blind
        while owed > 0:
            done, size = to[turn % len(to)].send(min(owed, 64))
            turn += 1
            done_now += max(done, 1)
            owed -= max(done, 1)
            if wanted > 0:
                counts[0] += done
                counts[1] += size
        counts[2] += bursts[turn % len(bursts)].received()
        if abs(wanted) < FASTEST:
            turn += 1
            time.sleep(0.002)


class Flooder:
    """The process, from the one that measures."""

    def __init__(self, kind, port, facts):
        context = multiprocessing.get_context("spawn")
        self.rate, self.counts = context.Value("d", 0.0, lock=False), context.Array("d", 4, lock=False)
        self.process = context.Process(target=run, args=(kind, port, facts, self.rate, self.counts), daemon=True)
        self.process.start()
        end = time.monotonic() + 60
        while not self.counts[3]:
            if time.monotonic() > end or not self.process.is_alive():
                raise RuntimeError("the sender of floods does not start")
            time.sleep(0.01)

    def set(self, rate):
        self.rate.value = rate

    def totals(self):
        """Messages and bytes that were sent to the engine, and bytes that came back."""
        return self.counts[0], self.counts[1], self.counts[2]

    def close(self):
        self.rate.value = float("nan")
        self.process.join(20)
        if self.process.is_alive():
            self.process.kill()

"""What a flood does to those who behave: a real presenced on the loopback, one client that behaves, and ten times its messages from others.

Kinds of flood, one after the other:
  junk         bytes at random, and messages with one bit turned
  unknown      sound questions from sources that nobody knows, of 64 networks
  over_budget  sound questions and updates of one network, far above what it may send
Each is first sent as fast as it goes, which shows what the worker refuses a second (or at least that much: the sender may be the slower one),
then at ten times what the client that behaves sends. Of that client: updates applied against those without a flood, the 99th percentile of
its answers, and how long after the flood they are back where they were. Of the others: bytes received against bytes sent. Of the engine: its
memory, and whether every packet was counted once.
"""
import ctypes
import json
import multiprocessing
import os
import pathlib
import random
import socket
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import engine_process  # noqa: E402
import presence_client as pc  # noqa: E402

UPDATES, QUESTIONS = 1000, 100  # a second, of the client that behaves
TIMES = 10
KINDS = ("junk", "unknown", "over_budget")
YAML = """
memory: {entities: 20000, socket_mem_mb: 32}
workers: {idle: pause}
sources:
  - socket: {address: 127.0.0.1, port: {port}}
trusted: [127.0.0.1/32]
admitted: [127.0.0.0/8]
limits:
  network: {updates: 200, queries: 100, bytes_out: 100000, entities: 1000}
"""
LIBC = ctypes.CDLL(None, use_errno=True)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("name_bytes", ctypes.c_uint), ("parts", ctypes.POINTER(Iovec)),
                ("part_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_bytes", ctypes.c_size_t),
                ("flags", ctypes.c_int), ("sent", ctypes.c_uint)]


class Burst:
    """Datagrams that one call sends from one socket."""

    def __init__(self, port, source, datagrams):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.buffers = [ctypes.create_string_buffer(d, len(d)) for d in datagrams]
        self.count = len(datagrams)
        self.sizes = [len(d) for d in datagrams]
        self.parts = (Iovec * self.count)(*[Iovec(ctypes.addressof(b), len(b.raw)) for b in self.buffers])
        self.messages = (Message * self.count)(*[
            Message(None, 0, ctypes.pointer(self.parts[i]), 1, None, 0, 0, 0) for i in range(self.count)])

    def send(self, count):
        """Messages and bytes that left, of the first `count`."""
        done = LIBC.sendmmsg(self.socket.fileno(), self.messages, min(count, self.count), socket.MSG_DONTWAIT)
        done = max(done, 0)
        return done, sum(self.sizes[:done])

    def received(self):
        got = 0
        for _ in range(256):
            try:
                got += len(self.socket.recv(2048))
            except OSError:
                break
        return got


def datagrams(kind, chance, number):
    maker = pc.Client("127.0.0.1", 9)  # makes messages, sends none
    question = maker.message(pc.QUERY, pc.query(pc.SPHERE, (0, 0, 0), (500, 0, 0)), space=pc.LOCAL)
    update = maker.message(pc.UPDATE, pc.UPDATE_PREAMBLE.pack(bytes(16), maker.incarnation, 0) +
                           pc.update(pc.entity(50000 + number), (1, 2, 3), 1, ttl_ms=60000))
    maker.close()
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


def flood(kind, port, rate, seconds, result):
    """A process of its own. rate 0: as fast as it goes."""
    chance = random.Random(f"flood {kind}")
    count = 64 if kind == "unknown" else 4
    bursts = [Burst(port, f"127.{1 + n}.7.{1 + n % 200}" if kind == "unknown" else f"127.0.9.{1 + n}",
                    datagrams(kind, chance, n)) for n in range(count)]
    sent = sent_bytes = got_bytes = turn = 0
    begin = time.monotonic()
    while (now := time.monotonic()) < begin + seconds:
        owed = 64 if rate == 0 else min(int((now - begin) * rate) - sent, 256)
        while owed > 0:
            done, size = bursts[turn % count].send(min(owed, 64))
            turn += 1
            sent += done
            sent_bytes += size
            owed -= max(done, 1)
        got_bytes += bursts[turn % count].received()
        if rate:
            time.sleep(0.002)
    time.sleep(0.2)
    got_bytes += sum(b.received() for _ in range(8) for b in bursts)
    result.put((sent, sent_bytes, got_bytes, time.monotonic() - begin))


class Behaves:
    """Sends updates at its pace and asks in between, one question at a time."""

    def __init__(self, port):
        self.client = pc.Client("127.0.0.1", port, timeout=1.0)
        self.updater = pc.Client("127.0.0.1", port)
        self.updater.socket.setblocking(False)
        self.entity_sequence = 0
        self.lost = self.turned_away = 0

    def send_update(self):
        c = self.updater
        self.entity_sequence += 1
        c.send(c.message(pc.UPDATE, pc.UPDATE_PREAMBLE.pack(bytes(16), c.incarnation, 0) +
                         pc.update(pc.entity(self.entity_sequence % 500), (self.entity_sequence % 400, 0, 0),
                                   self.entity_sequence, ttl_ms=600000), 1, pc.FLAG_ACK))

    def applied(self):
        """Acknowledgements that say APPLIED, or that it is on its way, since the last call."""
        count = 0
        while True:
            try:
                message = self.updater.socket.recv(2048)
            except OSError:
                return count
            taken = len(message) == 128 and message[112] in (pc.APPLIED, pc.ACCEPTED)
            count += taken
            self.turned_away += not taken

    def ask(self):
        start = time.monotonic()
        try:
            self.client.query(pc.query(pc.SPHERE, (10, 0, 0), (5, 0, 0)))
        except (pc.Timeout, ValueError):
            self.lost += 1
        return start, time.monotonic() - start

    def run(self, seconds, stop=None):
        """(share of its updates that was applied, [(moment, seconds that the answer took)])."""
        begin, updates, asked, answers, applied = time.monotonic(), 0, 0, [], 0
        self.applied()
        while True:
            passed = time.monotonic() - begin
            applied += self.applied()
            if passed >= seconds:
                time.sleep(0.1)
                return (applied + self.applied()) / updates, answers
            while updates < passed * UPDATES:
                self.send_update()
                updates += 1
            if asked < passed * QUESTIONS:
                answers.append(self.ask())
                asked += 1
            time.sleep(0.0005)


def p99(answers):
    took = sorted(a[1] for a in answers)
    return took[min(len(took) - 1, int(len(took) * 0.99))] if took else float("nan")


def memory_kb(pid):
    return int(next(l for l in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                    if l.startswith("VmRSS")).split()[1])


def refused_of(state):
    """Packets that were answered for by a refusal at the door or behind it."""
    listed = pathlib.Path(ROOT / "engine/base/reasons.h").read_text()
    import re
    packets = re.findall(r"PE_REASON\((\w+), PACKET, (\w+),", listed)
    return sum(state.get(f"{verdict.lower()}_{name}", 0) for name, verdict in packets)


def back_after_ms(answers, end, bound):
    """When the answers that were asked for after `end` are all within the bound, in slices of 100 ms."""
    for slice_ms in range(0, 3000, 100):
        within = [took for at, took in answers if at >= end + slice_ms / 1000]
        if within and p99([(0, t) for t in within]) <= bound:
            return slice_ms
    return 3000


def round_of(kind, seconds, keep):
    context = multiprocessing.get_context("spawn")
    with engine_process.Engine(YAML) as e:
        good, watcher = Behaves(e.port), pc.Client("127.0.0.1", e.port, timeout=5.0)
        good.run(0.3)

        def applied(body):
            before = watcher.state()
            out = body()
            time.sleep(0.05)
            after = watcher.state()
            return out, {k: after[k] - before[k] for k in after}

        # None but the client that behaves is there: what it lacks is the machine's.
        calm_share, answers = good.run(seconds)
        calm_p99 = p99(answers)

        def beside(rate, body):
            results = context.Queue()
            process = context.Process(target=flood, args=(kind, e.port, rate, seconds, results))
            process.start()
            time.sleep(0.5)  # it has started by then
            out = body()
            got = results.get(timeout=seconds + 30)
            process.join(30)
            return out, got

        # As fast as it goes.
        (_, (sent, _, _, took)), counts = applied(lambda: beside(0, lambda: time.sleep(seconds)))
        keep(f"flood_{kind}_capacity", refused_of(counts) / took, "messages/s",
             {"offered": round(sent / took), "received": round(counts["rx_packets"] / took)})
        good.run(1.0)
        memory = memory_kb(e.process.pid)

        def flooded():
            return beside(TIMES * (UPDATES + QUESTIONS), lambda: (good.run(seconds), time.monotonic()))

        ((share, answers), end), (offered, out_bytes, in_bytes, took) = flooded()
        keep(f"flood_{kind}_offered", offered / took, "messages/s")
        keep(f"flood_{kind}_updates_kept", share / calm_share, "ratio")
        keep(f"flood_{kind}_p99", p99(answers), "s", {"without": calm_p99})
        keep(f"flood_{kind}_p99_ratio", p99(answers) / calm_p99, "ratio")
        keep(f"flood_{kind}_bytes_back", in_bytes / out_bytes if out_bytes else 0, "ratio")
        _, after = good.run(2.0)
        keep(f"flood_{kind}_back_ms", back_after_ms(after, end, 3 * calm_p99), "ms")
        keep(f"flood_{kind}_memory_grown", memory_kb(e.process.pid) - memory, "kB")
        _, identity = e.stop(60)
        keep(f"flood_{kind}_turned_away", good.turned_away, "messages")
        keep(f"flood_{kind}_uncounted", abs(identity["packets", "difference"]), "packets")
        good.client.close()
        good.updater.close()
        watcher.close()


WANTED = {"updates_kept": (">=", 0.9), "p99_ratio": ("<=", 3), "back_ms": ("<=", 1000), "bytes_back": ("<=", 1.0),
          "memory_grown": ("<=", 1024),
          "turned_away": ("<=", 0), "uncounted": ("<=", 0)}


def judge(figures):
    """name, value, what is wanted, True or False."""
    for kind in KINDS:
        for what, (sign, bound) in WANTED.items():
            value = figures[f"flood_{kind}_{what}"]["median"]
            yield f"{kind}: {what}", value, f"{sign} {bound}", value >= bound if sign == ">=" else value <= bound
        capacity = figures[f"flood_{kind}_capacity"]["median"]
        yield (f"{kind}: offered below what the worker refuses", figures[f"flood_{kind}_offered"]["median"],
               f"<= {capacity:.0f}", figures[f"flood_{kind}_offered"]["median"] <= capacity)


def measure(binary, rounds, seconds, say=lambda line: print(line, file=sys.stderr)):
    engine_process.BINARY = str(binary)
    samples, configuration = {}, {}

    def keep(name, value, unit, how=None):
        samples.setdefault(name, (unit, []))[1].append(value)
        if how:
            configuration[name] = how

    for number in range(rounds):
        for kind in KINDS:
            say(f"round {number + 1} of {rounds}: {kind}")
            round_of(kind, seconds, keep)
    figures = {name: {"median": statistics.median(v), "min": min(v), "max": max(v), "unit": unit}
               for name, (unit, v) in samples.items()}
    figures["configuration"] = {**configuration, "flood": {
        "updates": UPDATES, "questions": QUESTIONS, "times": TIMES, "seconds": seconds, "rounds": rounds,
        "cores": os.cpu_count()}}
    return figures


if __name__ == "__main__":
    json.dump(measure(sys.argv[1], 1, 2.0), sys.stdout, indent=1)

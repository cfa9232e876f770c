"""What a flood does to those who behave: a real presenced on the loopback, one client that behaves, and ten times its messages from others.

Kinds of flood, one after the other:
  junk         bytes at random, and messages with one bit turned
  unknown      sound questions from sources that nobody knows, of 64 networks
  over_budget  sound questions and updates of one network, far above what it may send
  wrong_key    messages that name a session and are not of its key, or name one that there is not; handshakes of keys that nobody knows, with cookies that
               hold and with made-up ones. The client that behaves has sessions then
Of each, in every round:
  capacity  what a worker takes a second of its own processor time: the engine is held, its queue filled, and its time read when it is done
  calm      the client that behaves, alone
  blind     the same, while the flood goes to a socket that nobody reads: what the sender alone costs on this machine
  flooded   while the flood goes to the engine, at ten times what the client sends
  after     from the moment at which it ends
  beyond    the engine is held while the flood fills its queue and runs over: what is lost then of those that are known
"""
import json
import os
import pathlib
import re
import signal
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import engine_process  # noqa: E402
import presence_client as pc  # noqa: E402
from flood_sender import SOURCES, Flooder, bursts_of  # noqa: E402

UPDATES, QUESTIONS = 1000, 300  # a second, of the client that behaves
TIMES = 10
KINDS = tuple(SOURCES)
# By the worker's processor time; a queue that is full of what is longest holds some 1,600.
HELD, HELD_TIMES = 1200, 12
YAML = """
memory: {entities: 20000, socket_mem_mb: 32}
sources:
  - socket: {address: 127.0.0.1, port: {port}}
trusted: [127.0.0.1/32]
admitted: [127.0.0.0/8]
limits:
  network: {updates: 200, queries: 100, bytes_out: 100000, entities: 1000}
"""
SECURE = "security: {keyring: {keyring}, level: none, sessions: 64}\n"


class Behaves:
    """Sends updates at its pace and asks in between, one question at a time."""

    def __init__(self, port, keys=None):
        self.client, self.updater = self.make(port, keys), self.make(port, keys)
        self.updater.socket.setblocking(False)
        self.entity_sequence = 0
        self.lost = self.turned_away = 0

    @staticmethod
    def make(port, keys):
        if not keys:
            return pc.Client("127.0.0.1", port, timeout=1.0)
        import sealed_client as sc
        client = sc.Client("127.0.0.1", port)
        client.connect(keys, "good")
        client.timeout = 1.0
        client.socket.settimeout(client.timeout)
        return client

    def close(self):
        self.client.close()
        self.updater.close()

    def send_update(self):
        c = self.updater
        self.entity_sequence += 1
        try:
            c.send(c.message(pc.UPDATE, pc.UPDATE_PREAMBLE.pack(bytes(16), c.incarnation, 0) +
                             pc.update(pc.entity(self.entity_sequence % 500), (self.entity_sequence % 400, 0, 0),
                                       self.entity_sequence, ttl_ms=600000), 1, pc.FLAG_ACK, pc.LOCAL))
        except BlockingIOError:
            pass

    def applied(self):
        """Acknowledgements that say APPLIED, or that it is on its way, since the last call. A signed one can be read as it is."""
        count = 0
        while True:
            try:
                message = self.updater.socket.recv(2048)
            except OSError:
                return count
            taken = len(message) == 128 and message[112] in (pc.APPLIED, pc.ACCEPTED)
            count += taken
            self.turned_away += not taken

    def drain(self):
        """What comes late is no answer to the next question."""
        self.client.socket.setblocking(False)
        try:
            while True:
                self.client.socket.recv(2048)
        except OSError:
            self.client.socket.settimeout(1.0)

    def ask(self):
        start = time.monotonic()
        try:
            self.client.query(pc.query(pc.SPHERE, (10, 0, 0), (5, 0, 0)))
        except (pc.Timeout, ValueError):
            self.lost += 1
            self.drain()
            return start, 1.0
        return start, time.monotonic() - start

    def run(self, seconds):
        """(share of its updates that was applied, [(moment, seconds that the answer took)])."""
        begin, updates, asked, answers, applied = time.monotonic(), 0, 0, [], 0
        self.applied()
        while True:
            passed = time.monotonic() - begin
            applied += self.applied()
            if passed >= seconds:
                time.sleep(0.1)
                return (applied + self.applied()) / max(updates, 1), answers
            while updates < passed * UPDATES:
                self.send_update()
                updates += 1
            if asked < passed * QUESTIONS:
                answers.append(self.ask())
                asked += 1
            time.sleep(0.0005)


def part(took, share):
    took = sorted(took)
    return took[min(len(took) - 1, int(len(took) * share))] if took else float("inf")


def p99(answers):
    return part([a[1] for a in answers], 0.99)


def back_after_ms(answers, end, bound):
    """From when on answers are as they were: the first three slices of 100 ms in a row of which nine in ten are within the bound. What is slow later
    is not the flood's."""
    good = 0
    for first in range(0, 1500, 100):
        within = [took for at, took in answers if first <= (at - end) * 1000 < first + 100]
        good = good + 1 if within and part(within, 0.9) <= bound else 0
        if good == 3:
            return first - 200
    return 1500


def memory_kb(pid):
    return int(next(l for l in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                    if l.startswith("VmRSS")).split()[1])


def thread_seconds(pid):
    """Of all threads of a process; the workers' are nearly all of it."""
    return sum(int((t / "schedstat").read_text().split()[0]) for t in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


def refused_of(state):
    """Packets that were answered for by a refusal at the door or behind it."""
    listed = pathlib.Path(ROOT / "engine/base/reasons.h").read_text()
    packets = re.findall(r"PE_REASON\((\w+), PACKET, (\w+),", listed)
    return sum(state.get(f"{verdict.lower()}_{name}", 0) for name, verdict in packets)


def held(pid, body):
    os.kill(pid, signal.SIGSTOP)
    try:
        body()
    finally:
        os.kill(pid, signal.SIGCONT)


def fill(bursts, count):
    sent = turn = 0
    while sent < count and turn < 4 * count:
        sent += bursts[turn % len(bursts)].send(min(64, count - sent))[0]
        turn += 1
    return sent


def capacity(engine, kind, facts, watcher):
    """Messages that a worker takes a second of its time, and the share of them that it refused."""
    bursts, pid = bursts_of(kind, engine.port, facts, " held"), engine.process.pid
    for b in bursts:
        b.received()
    fill(bursts, HELD)  # the budgets are used up by then
    time.sleep(0.1)
    before, spent, taken = watcher.state(), 0.0, 0
    for _ in range(HELD_TIMES):
        start = thread_seconds(pid)
        held(pid, lambda: fill(bursts, HELD))
        time.sleep(0.06)
        spent += thread_seconds(pid) - start
        for b in bursts:
            b.received()
    after = watcher.state()
    taken = after["rx_packets"] - before["rx_packets"]
    refused = refused_of(after) - refused_of(before)
    for b in bursts:
        b.socket.close()
    return taken / spent, refused / taken


def beyond(engine, kind, facts, good):
    """Updates of the client that behaves that are lost when its flood has run over the engine's queues, of 200."""
    bursts = bursts_of(kind, engine.port, facts, " beyond")
    engine_process.eventually(lambda: engine.unread()[0] == 0, engine.unread)
    time.sleep(0.1)
    good.applied()

    def both():
        for i in range(200):
            fill(bursts, 100)
            good.send_update()

    held(engine.process.pid, both)
    end, applied = time.monotonic() + 60, 0
    while applied < 200 and time.monotonic() < end:
        time.sleep(0.02)
        applied += good.applied()
    for b in bursts:
        b.socket.close()
    return 200 - applied


def round_of(kind, seconds, keep):
    keys = None
    if kind == "wrong_key":
        import sealed_client as sc
        keys = sc.Keys(["good"])
    text = YAML + (SECURE.replace("{keyring}", str(keys.path)) if keys else "")
    with engine_process.Engine(text) as e:
        good, watcher = Behaves(e.port, keys), pc.Client("127.0.0.1", e.port)
        facts = {"session": good.updater.session.id, "engine": keys.public()} if keys else {}
        good.run(0.3)
        flooder = Flooder(kind, e.port, facts)
        try:
            measure_round(kind, seconds, keep, e, good, watcher, flooder, facts)
        finally:
            flooder.close()
            good.close()
            watcher.close()
            if keys:
                keys.close()


def measure_round(kind, seconds, keep, e, good, watcher, flooder, facts):
    rate, before = TIMES * (UPDATES + QUESTIONS), watcher.state()
    took, refused = capacity(e, kind, facts, watcher)
    keep(f"flood_{kind}_capacity", took, "messages/s", {"refused": round(refused, 3)})
    good.run(1.0)
    memory = memory_kb(e.process.pid)
    calm_share, calm = good.run(seconds)
    flooder.set(-rate)
    _, blind = good.run(seconds)
    first = flooder.totals()
    flooder.set(rate)
    begin = time.monotonic()
    share, flooded = good.run(seconds)
    flooder.set(0)
    end = time.monotonic()
    last = flooder.totals()
    _, after = good.run(1.6)
    back = flooder.totals()[2] - first[2]
    sent, sent_bytes = last[0] - first[0], last[1] - first[1]
    keep(f"flood_{kind}_offered", sent / (end - begin), "messages/s")
    keep(f"flood_{kind}_updates_kept", share / calm_share if calm_share else 0, "ratio")
    keep(f"flood_{kind}_p99", p99(flooded), "s", {"calm": p99(calm), "blind": p99(blind)})
    keep(f"flood_{kind}_p99_ratio", p99(flooded) / p99(calm), "ratio")
    keep(f"flood_{kind}_p99_ratio_blind", p99(flooded) / p99(blind), "ratio")
    keep(f"flood_{kind}_p50_ratio", part([a[1] for a in flooded], 0.5) / part([a[1] for a in calm], 0.5), "ratio")
    keep(f"flood_{kind}_back_ms", back_after_ms(after, end, max(p99(calm), p99(blind))), "ms")
    keep(f"flood_{kind}_bytes_back", back / sent_bytes if sent_bytes else 0, "ratio")
    keep(f"flood_{kind}_memory_grown", memory_kb(e.process.pid) - memory, "kB")
    keep(f"flood_{kind}_lost_answers", good.lost, "answers")
    state = watcher.state()
    keep(f"flood_{kind}_beyond_lost", beyond(e, kind, facts, good), "messages")
    _, identity = e.stop(60)
    overrun = {m[1]: int(m[2]) for m in re.finditer(r"(kernel_dropped\w*) (\d+)", e.log)}
    keep(f"flood_{kind}_beyond_overrun", overrun["kernel_dropped"], "messages", overrun)
    keep(f"flood_{kind}_turned_away", good.turned_away, "messages")
    keep(f"flood_{kind}_uncounted", abs(identity["packets", "difference"]), "packets")
    keep(f"flood_{kind}_counters", 0, "", {k: state[k] - before[k] for k in state if state[k] != before[k]})


WANTED = {"updates_kept": (">=", 0.9), "p99_ratio": ("<=", 3), "back_ms": ("<=", 1000), "bytes_back": ("<=", 1.0),
          "memory_grown": ("<=", 1024), "beyond_lost": ("<=", 0), "turned_away": ("<=", 0), "uncounted": ("<=", 0)}


def judge(figures):
    """name, value, what is wanted, True or False."""
    for kind in KINDS:
        for what, (sign, bound) in WANTED.items():
            value = figures[f"flood_{kind}_{what}"]["median"]
            yield f"{kind}: {what}", value, f"{sign} {bound}", value >= bound if sign == ">=" else value <= bound
        taken, offered = figures[f"flood_{kind}_capacity"]["median"], figures[f"flood_{kind}_offered"]["median"]
        yield f"{kind}: offered below what the worker takes", offered, f"<= {taken:.0f}", offered <= taken
        # A machine that has too much else to do does not get that far, and then nothing is shown.
        least = 0.9 * TIMES * (UPDATES + QUESTIONS)
        yield f"{kind}: offered ten times what the client sends", offered, f">= {least:.0f}", offered >= least


def measure(binary, rounds, seconds, say=lambda line: print(line, file=sys.stderr)):
    engine_process.BINARY = str(binary)
    samples, configuration = {}, {}

    def keep(name, value, unit, how=None):
        if unit:
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

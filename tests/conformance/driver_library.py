"""The suite's calls by libpresence itself: a program in C (driver_library.c), which reads a line a call and answers in lines."""
import contextlib
import math
import subprocess
import urllib.parse
import uuid

from driver import SPACES, Cell, Driver, Erased, Event, Found, Row, Told, Verdict

KINDS = {"point": 1, "sphere": 2, "box": 3, "polygon": 4, "oriented_box": 5, "frustum": 6, "nearest": 7}
TYPES = {"static": 0, "mobile": 1, "temporary": 2, "recurring": 3, "custom": 128}
STATES = {"active": 0, "inactive": 1, "busy": 2, "away": 3, "custom": 4}


def numbers(values):
    return ",".join(repr(float(n)) for n in values if n is not None)


def escaped(value):
    data = value if isinstance(value, bytes) else str(value).encode()
    return "".join(chr(c) if 0x20 < c < 0x7F and c != 0x25 else f"%{c:02X}" for c in data)


def meta_word(name, value):
    if value is ...:
        kind, said = "-", b""
    elif value is None:
        kind, said = "n", b""
    elif isinstance(value, bool):
        kind, said = "b", b"01"[value:value + 1]
    elif isinstance(value, bytes):
        kind, said = "x", value
    else:
        kind, said = {int: "i", float: "f", str: "t"}[type(value)], (value if isinstance(value, str) else repr(value)).encode()
    return f"{name}:{kind}:".encode() + said


def turn_of(degrees):
    half = math.radians(degrees) / 2
    return "turn", numbers((0, 0, math.sin(half), math.cos(half)))


def volume_words(volume):
    kind, *of = volume
    words = [("volume", KINDS[kind])]
    if kind == "polygon":
        return words + [("ring", numbers(n for v in ring for n in v)) for ring in of]
    words += [("a", numbers(of[0]))]
    if kind == "box":
        words += [("b", numbers(of[1]))]
    elif kind == "sphere":
        words += [("radius", float(of[1]))]
    elif kind == "oriented_box":
        words += [("half", numbers(of[1])), turn_of(of[2])]
    elif kind == "frustum":
        words += [("angles", numbers(of[1:3])), ("range", numbers(of[3:5])), turn_of(of[5])]
    elif kind == "nearest":
        words += [("limit", of[1]), ("radius", float(of[2] if len(of) > 2 else 0))]
    return words


def position_of(text):
    x, y, *z = map(float, text.split(","))
    return (x, y, z[0] if z else None)


def row(fields):
    f = dict(fields)
    kind = int(float(f["type"]))
    meta, name = {}, None
    for field, value in fields:
        if field == "meta":
            name = value.decode()
        elif name is not None and field in "nbiftx":
            meta[name] = {"n": lambda v: None, "b": lambda v: v == b"1", "i": int, "f": float, "t": bytes.decode, "x": bytes}[field](value)
            name = None
    return Row(position_of(f["position"].decode()), float(f["distance"]), tuple(map(float, f["velocity"].decode().split(","))),
               next(n for n, k in TYPES.items() if k == min(kind, 128)), max(0, kind - 128), next(n for n, k in STATES.items() if k == float(f["state"])),
               int(float(f["custom"])), int(float(f["age"])), int(float(f["ttl_left"])), float(f["precision"]), float(f["stale"]) > 0,
               {v.decode() for n, v in fields if n == "tag"}, f.get("activity", b"").decode(), meta, f["parent"].decode() if "parent" in f else None)


class Watching:
    def __init__(self, driver, reason, published):
        self.driver, self.reason, self.published, self.events = driver, reason, published, []

    def pump(self, seconds):
        events, _ = self.driver.call("pump", [("ms", max(1, round(seconds * 1000)))])
        for verb, fields in events:
            f = {n: v.decode() if n != "payload" else v for n, v in fields}
            assert verb == "event", verb
            self.events.append(Event(f["kind"], int(float(f["fence"])), f.get("id"), f["cause"], float(f["snapshot"]) > 0,
                                     position_of(f["position"]) if "position" in f else None, f.get("payload")))


class LibraryDriver(Driver):
    # libpresence says by itself that this is no fence.
    lacks = frozenset({"nearest_watch"})

    def __init__(self, program, uri, prefix=(), keys=()):
        """keys: the file of one's own and the engine's public one. prefix: words before the program, such as those that bring it into a network namespace."""
        self.process = subprocess.Popen([*prefix, program, uri, *keys], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        assert code == 0, code

    def call(self, verb, fields):
        """The lines of its answer, and the last one's fields."""
        self.process.stdin.write("\t".join([verb, *(f"{name}={escaped(value)}" for name, value in fields)]) + "\n")
        self.process.stdin.flush()
        lines = []
        while True:
            line = self.process.stdout.readline()
            assert line.endswith("\n"), f"the program ended: {self.process.poll()}"
            said, *words = line[:-1].split("\t")
            told = [(name, urllib.parse.unquote_to_bytes(value)) for name, _, value in (w.partition("=") for w in words)]
            if said == "done":
                last = {name: value.decode() for name, value in told}
                assert last["status"] != "FAILED", (verb, fields, last)
                return lines, {**last, "all": [(n, v.decode()) for n, v in told]}
            lines.append((said, told))

    def told(self, verb, fields):
        _, last = self.call(verb, fields)
        refused = last["status"] in ("REFUSED", "DROPPED")
        return Told("refused" if refused else last["status"].lower(), last["reason"] if refused else "")

    def publish(self, entity_id, position, space="local", *, type="mobile", type_code=0, state="active", custom_state=0, velocity=None, ttl=None,
                duration=None, radius=0.0, precision=0.0, confidence=None, frequency=0, announced=0, relocation=False, tags=None, activity=None,
                meta=None, schedule=None, parent=None, payload=None):
        fields = [("id", entity_id), ("space", SPACES[space]), ("position", numbers(position)), ("type", TYPES[type] + type_code),
                  ("state", STATES[state]), ("custom", custom_state), ("radius", float(radius)), ("precision", float(precision)),
                  ("frequency", frequency), ("announced", announced)]
        fields += [("geodetic", 1)] if space == "world" else []
        fields += [("velocity", numbers(velocity))] if velocity else []
        fields += [("ttl", round(ttl * 1000))] if ttl is not None else []
        fields += [("duration", round(duration * 1000))] if duration is not None else []
        fields += [("confidence", float(confidence))] if confidence is not None else []
        fields += [("relocation", 1)] if relocation else []
        fields += [("tag", t) for t in tags or ()] + ([("activity", activity)] if activity else [])
        fields += [("meta", meta_word(n, v)) for n, v in (meta or {}).items()]
        fields += [("schedule", ",".join(str(round(s * 1000)) for s in schedule))] if schedule else []
        fields += [("parent", parent)] if parent else []
        fields += [("payload", payload)] if payload is not None else []
        return self.told("publish", fields)

    def withdraw(self, entity_id, space="local"):
        return self.told("withdraw", [("id", entity_id), ("space", SPACES[space])])

    def erase(self, entity_id, space="local"):
        _, last = self.call("erase", [("id", entity_id), ("space", SPACES[space])])
        if last["status"] == "REFUSED":
            return Erased("refused", last["reason"])
        return Erased(last["status"].lower(), "", frozenset(v for n, v in last["all"] if n == "where"))

    @staticmethod
    def said(volume, space, *, filter=None, types=None, states=None, heights=None, origin=None, limit=0, three_d=False, ahead=None, cells=None,
             brief=False, max_age=None):
        fields = [("space", SPACES[space]), *volume_words(volume)]
        fields += [("filter", filter)] if filter else []
        fields += [("types", sum(1 << min(TYPES[t], 4) for t in types))] if types else []
        fields += [("states", sum(1 << STATES[s] for s in states))] if states else []
        fields += [("heights", numbers(heights))] if heights else []
        fields += [("origin", numbers(origin))] if origin else []
        fields += [("3d", 1)] if three_d else []
        fields += [("ahead", round(ahead * 1000))] if ahead is not None else []
        fields += [("cells", float(cells))] if cells else []
        fields += [("brief", 1)] if brief else [] if cells else [("details", 1)]
        fields += [("age", round(max_age * 1000))] if max_age else []
        fields += [("limit", limit)] if limit else []
        return fields

    def query(self, volume, space="local", **options):
        lines, last = self.call("query", self.said(volume, space, **options))
        if last["status"] == "REFUSED":
            return Found({}, False, (), last["reason"])
        cells = [Cell(tuple(map(float, f["centre"].decode().split(","))), *(int(float(f[n])) for n in ("count", "size", "few", "below")))
                 for f in (dict(fields) for verb, fields in lines if verb == "cell")]
        return Found({dict(fields)["id"].decode(): row(fields) for verb, fields in lines if verb == "row"}, float(last["truncated"]) > 0, cells)

    def explain(self, entity_id, volume, space="local", **options):
        _, last = self.call("explain", [("id", entity_id), *self.said(volume, space, **options)])
        return Verdict({1: True, 0: False}.get(int(float(last["verdict"]))), last["first"], {v for n, v in last["all"] if n == "cause"})

    @contextlib.contextmanager
    def watch(self, volume, space="local", *, filter=None, margin=0.0, follow=None, moves=True, payloads=False):
        fields = [("space", SPACES[space]), *volume_words(volume), ("margin", float(margin))]
        fields += [("filter", filter)] if filter else []
        fields += [("follow", str(uuid.UUID(follow)))] if follow else []
        fields += [("moves", 1)] if moves else []
        fields += [("payloads", 1)] if payloads else []
        _, last = self.call("watch", fields)
        try:
            yield Watching(self, last["reason"], float(last.get("published", 0)))
        finally:
            self.call("unwatch", [])

    def ping(self):
        return self.call("ping", [])[1]["status"] == "OK"

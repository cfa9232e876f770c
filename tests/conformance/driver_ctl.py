"""The suite's calls by libpresence: presencectl, which prints JSON."""
import contextlib
import json
import re
import signal
import subprocess
import threading
import time

from driver import SPACES, Cell, Driver, Erased, Event, Found, Row, Told, Verdict


def place(position):
    return ",".join(repr(float(n)) for n in position if n is not None)


def words(volume):
    """Of a volume, as arguments: options, and what stands behind them."""
    kind, *of = volume
    if kind == "polygon":
        return ["--polygon=" + " / ".join(" ".join(place(v) for v in ring) for ring in of)], []
    if kind == "oriented_box":
        return [f"--oriented-box={place(of[0])} {place(of[1])} {of[2]}"], []
    if kind == "frustum":
        return [f"--frustum={place(of[0])} {of[1]},{of[2]} {of[3]},{of[4]} {of[5]}"], []
    if kind == "nearest":
        at, count, *within = of
        return [f"--nearest={count}"], ["sphere", place(at), repr(float(within[0]))] if within and within[0] else ["point", place(at)]
    return [], [kind, place(of[0]), *([place(of[1])] if kind == "box" else [repr(float(of[1]))] if kind == "sphere" else [])]


def meta_word(value):
    if isinstance(value, bytes):
        return f'x"{value.hex()}"'
    return {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else \
        repr(value) if isinstance(value, (int, float)) else value


def value_of(told):
    return bytes.fromhex(told["bytes"]) if isinstance(told, dict) else told


def row(f):
    d = f.get("details") or {}
    kind = f.get("type", "").lower()
    return Row(tuple(f["position"]), f.get("distance_m", 0.0), tuple(f.get("velocity", ())), kind, max(0, f.get("type_code", 0) - 128),
               f.get("state", "").lower(), f.get("custom_state", 0), f.get("age_ms", 0), f.get("ttl_left_ms", 0), f.get("precision_m", 0.0),
               bool(f.get("stale")), set(d.get("tags") or ()), d.get("activity") or "", {n: value_of(v) for n, v in (d.get("metadata") or {}).items()},
               d.get("parent"))


class Watching:
    def __init__(self):
        self.events, self.reason, self.published = [], "", 0

    def read(self, process):
        for line in process.stdout:
            if line == "{\n":
                break  # an error's object; events have a line each
            e = json.loads(line)
            if e["event"] == "COARSER":
                self.published = e["published_m"]
                continue
            entity, payload = e.get("entity") or {}, e.get("payload")
            if payload is not None:
                payload = bytes.fromhex(payload["bytes"]) if isinstance(payload, dict) else payload.encode()
            position = tuple(entity["position"]) if "position" in entity else None
            self.events.append(Event(e["event"], e["fence"], entity.get("id"), e["cause"], e["snapshot"], position, payload))

    @staticmethod
    def pump(seconds):
        time.sleep(seconds)


class CtlDriver(Driver):
    def __init__(self, program, where, prefix=()):
        """where: words that say which engine. prefix: words before the program, such as those that bring it into a network namespace."""
        self.command = [*prefix, program, "--json", *where, "-t", "20s"]

    def ctl(self, space, *arguments):
        done = subprocess.run([*self.command, "-s", SPACES[space], *arguments], capture_output=True, text=True, timeout=200)
        assert done.returncode in (0, 65, 77), f"presencectl {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    @staticmethod
    def told(answer):
        if "records" not in answer:
            return Told("refused", answer["reason"])
        record = answer["records"][0]
        return Told(record["status"].lower(), record["reason"] if record["status"] == "REFUSED" else "")

    def publish(self, entity_id, position, space="local", *, type="mobile", type_code=0, state="active", custom_state=0, velocity=None, ttl=None,
                duration=None, radius=0.0, precision=0.0, confidence=None, frequency=0, announced=0, relocation=False, tags=None, activity=None,
                meta=None, schedule=None, parent=None, payload=None):
        words = [f"--type={type}:{type_code}" if type == "custom" else f"--type={type}",
                 f"--state={state}:{custom_state}" if state == "custom" else f"--state={state}", f"--radius={radius}", f"--precision={precision}",
                 f"--frequency={frequency}", f"--announced={announced}"]
        words += [f"--velocity={place(velocity)}"] if velocity else []
        words += [f"--ttl={round(ttl * 1000)}ms"] if ttl is not None else []
        words += [f"--duration={round(duration * 1000)}ms"] if duration is not None else []
        words += [f"--confidence={confidence}"] if confidence is not None else []
        words += ["--relocation"] if relocation else []
        words += [f"--tag={t}" for t in tags or ()] + ([f"--activity={activity}"] if activity else [])
        words += [f"--meta={n}" if v is ... else f"--meta={n}={meta_word(v)}" for n, v in (meta or {}).items()]
        words += [f"--schedule={int(schedule[0])},{round(schedule[1] * 1000)}ms,{round(schedule[2] * 1000)}ms"] if schedule else []
        words += [f"--parent={parent}"] if parent else []
        words += [f"--payload={payload.decode()}"] if payload is not None else []
        words += ["--height-unknown"] if space == "world" and len([n for n in position if n is not None]) == 2 and not parent else []
        return self.told(self.ctl(space, "publish", *words, "--", entity_id, place(position)))

    def withdraw(self, entity_id, space="local"):
        return self.told(self.ctl(space, "withdraw", entity_id))

    def erase(self, entity_id, space="local"):
        answer = self.ctl(space, "erase", entity_id)
        if "error" in answer:
            return Erased("refused", answer["reason"])
        return Erased(answer["status"].lower(), "", frozenset(answer["where"]))

    @staticmethod
    def said(volume, *, filter=None, types=None, states=None, heights=None, origin=None, limit=0, three_d=False, ahead=None, cells=None,
             brief=False, max_age=None):
        options, behind = words(volume)
        options += [f"--filter={filter}"] if filter else []
        options += [f"--types={','.join(types)}"] if types else []
        options += [f"--states={','.join(states)}"] if states else []
        options += [f"--heights={place(heights)}"] if heights else []
        options += [f"--origin={place(origin)}"] if origin else []
        options += ["--3d"] if three_d else []
        options += [f"--at={round(ahead * 1000)}ms"] if ahead is not None else []
        options += [f"--cells={cells}m"] if cells else []
        options += ["--brief"] if brief else [] if cells else ["--details"]
        options += [f"--max-age={round(max_age * 1000)}ms"] if max_age else []
        options += [f"--limit={limit}"] if limit else [] if volume[0] == "nearest" else ["--follow"]
        return [*options, "--", *behind]

    def query(self, volume, space="local", **options):
        answer = self.ctl(space, "query", *self.said(volume, **options))
        if "error" in answer:
            return Found({}, False, (), answer["reason"])
        return Found({f["id"]: row(f) for f in answer.get("found", ())}, answer["truncated"],
                     [Cell(tuple(c["centre"]), c["count"], c["size_m"], c.get("below_cells", 0), c.get("below") or 0) for c in answer.get("cells", ())])

    def explain(self, entity_id, volume, space="local", **options):
        told = self.ctl(space, "explain", entity_id, *self.said(volume, **options))
        return Verdict({"in": True, "out": False}.get(told["verdict"]), told["first_cause"], set(told["causes"]))

    @contextlib.contextmanager
    def watch(self, volume, space="local", *, filter=None, margin=0.0, follow=None, moves=True, payloads=False):
        options, behind = words(volume)
        options += [f"--filter={filter}"] if filter else []
        options += [f"--margin={margin}"] if margin else []
        options += ["--moves"] if moves else []
        options += ["--payloads"] if payloads else []
        if follow:
            options, behind = [*options, f"--follow={follow}"], ["sphere", behind[2]]
        process = subprocess.Popen([*self.command, "-s", SPACES[space], "watch", *options, "--", *behind], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        watching = Watching()
        reader = threading.Thread(target=watching.read, args=(process,), daemon=True)
        reader.start()
        end = time.monotonic() + 60
        while not watching.events and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        if process.poll() is not None:
            said = process.stderr.read()
            watching.reason = re.search(r"\((\w+)\): ", said)[1] if process.returncode == 65 else said
        try:
            yield watching
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
            reader.join(timeout=60)
            process.stdout.close()
            process.stderr.close()

    def ping(self):
        return subprocess.run([*self.command, "ping"], capture_output=True, timeout=200).returncode == 0

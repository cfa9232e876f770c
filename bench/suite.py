"""What scripts/bench measures: groups of programs that are set up together and take turns, round by round."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

import guarded
import paired
from served import Failed, HugePages, Served, ask_together, say

PORT_BYTES = 160 << 20  # DPDK's own memory beside an engine
MILLION = 1_000_000

# Cache lines that a query asks for: a hit's record is two; a cell is its leaf and, as a rule, one chunk of seven.
QUERY_LINES_A_HIT = 2
QUERY_LINES_A_CELL = 8


class Run:
    """Samples by name, from all rounds, and the configuration of each."""

    def __init__(self, build, rounds, window_s, full, huge):
        self.build, self.rounds, self.window_s, self.full, self.huge = build, rounds, window_s, full, huge
        cores = sorted(os.sched_getaffinity(0))
        self.worker, self.other = cores[-1], cores[0]
        self.samples, self.configuration, self.trouble = {}, {}, []
        self.bytes_an_entity = None
        self.pages = True

    # ---- keeping ----

    def keep(self, name, value, unit, configuration=None):
        self.samples.setdefault(name, (unit, []))[1].append(value)
        if configuration is not None:
            self.configuration[name] = configuration

    def figures(self):
        out = {}
        for name, (unit, values) in self.samples.items():
            out[name] = {"median": statistics.median(values), "min": min(values), "max": max(values), "unit": unit}
        out["configuration"] = self.configuration
        return out

    def group(self, title, body):
        """One group; what goes wrong in it costs its figures and not the others'."""
        begin = time.monotonic()
        say(title)
        with contextlib.ExitStack() as stack:
            def start(program, *arguments, ready_s=180):
                served = Served([self.build / "bench" / program, *arguments], ready_s)
                stack.callback(lambda: self._closed(served))
                return served
            try:
                body(start)
            except (Failed, OSError, subprocess.SubprocessError, KeyError, ValueError) as error:
                self.trouble.append(f"{title}: {error}")
                say(f"trouble: {title}: {error}")
        say(f"{title}: {time.monotonic() - begin:.0f} s")

    def _closed(self, served):
        if served.close():
            self.trouble.append(f"{served.name} did not end well")

    # ---- starting ----

    def plan(self):
        out = subprocess.run([self.build / "bench/presence-core-bench", "plan", "--entities", str(MILLION)],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=True)
        self.bytes_an_entity = json.loads(out.stdout)["bytes_an_entity"]

    def reserve(self, bytes_wanted):
        self.pages = self.huge.ensure(bytes_wanted)
        return [] if self.pages else ["--no-huge"]

    def engine_bytes(self, entities):
        return self.bytes_an_entity * entities * 1.05 + (48 << 20)

    def core(self, start, entities, *more, ready_s=180):
        return start("presence-core-bench", "serve", "--entities", str(entities), "--core", str(self.worker),
                     "--control-core", str(self.other), "--second-core", str(self.other), *more, ready_s=ready_s)

    def warm(self, *served):
        """The first windows after the fill meet memory that nothing was written to yet: they count for nothing."""
        for core, scenario in served:
            core.ask(f"{scenario} 0.5")

    # ---- one window each ----

    def core_window(self, served, scenario, name, what, unit, **more):
        got = served.ask(f"{scenario} {self.window_s}")
        if got["refused"] > 0.001 * (got["updates"] + got["queries"]):
            raise Failed(f"{scenario}: {got['refused']:.0f} refused a second")
        self.keep(name, got[what], unit, {**served.ready, "scenario": scenario, "window": got, **more})
        return got


# ---- groups ----

def updates_and_queries(run):
    """A million entities: memory, the core, and the same from the packet on."""
    pages = run.reserve(8 * run.engine_bytes(MILLION) + run.engine_bytes(MILLION) * 1.4 + 6 * PORT_BYTES + (300 << 20))
    crossings = [0, 1, 5, 10, 25, 50, 100] if run.full else [0, 10]
    covered = [0, 50, 90] if run.full else [90]
    where = ["--core", str(run.worker), "--control-core", str(run.other), *pages]

    def body(start):
        core = run.core(start, MILLION, *pages)
        # Crossings mix the chunks up: what is compared with them stays in an engine of its own.
        crossing = run.core(start, MILLION, *pages)
        thresholds = run.core(start, MILLION, "--thresholds", *pages)
        memory = start("presence-memory-bench", "--serve", "--bytes", str(core.ready["working_set_bytes"]), "--core",
                       str(run.worker), *pages)
        packets = {}
        for name, arguments in {"update_packet_1": ["--records", "1"], "update_packet_16": ["--records", "16"],
                                "update_packet_16_sign": ["--records", "16", "--seal", "sign"],
                                "update_packet_16_encrypt": ["--records", "16", "--seal", "encrypt"],
                                "query_packet_20": ["--queries", "100"], "mixed": ["--queries", "10"]}.items():
            packets[name] = start("presence-packet-bench", "--serve", *arguments, *where)
            run.keep("source_" + name, packets[name].ready["source_ns_a_packet"]["median"], "ns/packet")
        run.warm((core, "update"), (crossing, "crossing:10"), (thresholds, "coalesced:90"))
        run.keep("bytes_an_entity", core.ready["bytes_an_entity"], "bytes", core.ready)
        for turn in range(run.rounds):
            say(f"round {turn + 1} of {run.rounds}")
            run.keep("memory_lines_1m", memory.ask(f"lines {run.window_s}")["lines"], "lines/s", memory.ready)
            run.keep("memory_lines_second_level_1m", memory.ask(f"second_level {run.window_s}")["lines"], "lines/s", memory.ready)
            run.core_window(core, "update", "update_core_1m", "updates", "records/s")
            run.core_window(core, "message:16", "update_message_16", "updates", "records/s")
            for share in crossings:
                run.core_window(crossing, f"crossing:{share}", f"update_core_crossing_{share}", "updates", "records/s")
            for share in covered:
                # What is held back comes due after a second: until then less is done than from then on, and what other shares have
                # held back is not this one's to publish.
                thresholds.ask(f"coalesced:{share} 1.2")
                got = run.core_window(thresholds, f"coalesced:{share}", f"update_core_coalesced_{share}", "updates",
                                      "records/s")
                if share == 90:
                    run.keep("coalesced_share", got["coalesced_share"], "share")
            for hits in (20, 100, 1000):
                got = run.core_window(core, f"query:{hits}", f"query_core_{hits}", "queries", "queries/s")
                run.keep(f"query_scanned_{hits}", got["scanned"], "entities/s")
                run.keep(f"query_lines_{hits}", QUERY_LINES_A_HIT * got["hits_a_query"]
                         + QUERY_LINES_A_CELL * got["cells_a_query"], "lines/query")
            run.core_window(core, "nearest:10", "nearest_10", "queries", "queries/s")
            run.core_window(core, "polygon:100", "polygon_64_100", "queries", "queries/s")
            for name, served in packets.items():
                got = served.ask(f"window {run.window_s}")
                if got["refused"] > 0.001 * got["rx_packets"]:
                    raise Failed(f"{name}: {got['refused']:.0f} refused a second")
                configuration = {**served.ready, "window": got}
                run.keep(name + "_source_share", got["source_share"], "share")
                if name == "query_packet_20":
                    run.keep(name, got["queries"], "queries/s", configuration)
                else:
                    run.keep(name, got["updates"], "records/s", configuration)
                if name == "mixed":
                    run.keep("mixed_queries", got["queries"], "queries/s")

    run.group("a million entities", body)


STAGED = ("update", "message:16", "crossing:10", "query:20", "query:100", "query:1000")
CACHED = 8000  # entities that lie in the caches with all that is theirs


def stages(run):
    """Cycles an operation spends in each stage, of a million entities and of so few that memory has no part in it."""
    pages = run.reserve(2.2 * run.engine_bytes(MILLION) + 2 * run.engine_bytes(CACHED) + (100 << 20))

    def body(start):
        # Crossings mix the chunks up: they have engines of their own.
        served = {(size, crossing): start("presence-stage-bench", "serve", "--entities", str(size), "--core", str(run.worker),
                                          "--control-core", str(run.other), *pages)
                  for size in (MILLION, CACHED) for crossing in (False, True)}
        run.warm(*((core, "crossing:10" if crossing else "update") for (_, crossing), core in served.items()))
        for _ in range(run.rounds):
            for size in (MILLION, CACHED):
                for scenario in STAGED:
                    core = served[size, scenario.startswith("crossing")]
                    got = core.ask(f"{scenario} {run.window_s}")
                    name = f"stage_{scenario.replace(':', '_')}{'' if size == MILLION else '_cached'}"
                    for stage, cycles in got["stages"].items():
                        run.keep(f"{name}_{stage}", cycles, "cycles", {**core.ready, "scenario": scenario})
                    run.keep("stage_cycles_a_ns", sum(got["stages"].values()) * (got["updates"] + got["queries"]) / 1e9, "cycles/ns")

    run.group("cycles of each stage", body)


def ten_millions(run):
    pages = run.reserve(run.engine_bytes(10 * MILLION) + (2600 << 20))

    def body(start):
        core = run.core(start, 10 * MILLION, *pages, ready_s=300)
        memory = start("presence-memory-bench", "--serve", "--bytes", str(core.ready["working_set_bytes"]), "--core",
                       str(run.worker), *pages, ready_s=120)
        run.warm((core, "update"))
        run.keep("bytes_an_entity_10m", core.ready["bytes_an_entity"], "bytes", core.ready)
        run.keep("create_core_10m_s", core.ready["create_s"], "s")
        for _ in range(run.rounds):
            run.keep("memory_lines_10m", memory.ask(f"lines {run.window_s}")["lines"], "lines/s", memory.ready)
            run.keep("memory_lines_second_level_10m", memory.ask(f"second_level {run.window_s}")["lines"], "lines/s", memory.ready)
            run.core_window(core, "update", "update_core_10m", "updates", "records/s")
            if run.full:
                for hits in (20, 100, 1000):
                    run.core_window(core, f"query:{hits}", f"query_core_10m_{hits}", "queries", "queries/s")
        # Last, since it mixes the chunks up.
        for _ in range(run.rounds if run.full else 0):
            run.core_window(core, "crossing:10", "update_core_10m_crossing_10", "updates", "records/s")

    run.group("ten million entities", body)


def by_entities(run):
    counts = [30_000, 100_000, 300_000, 3 * MILLION]
    pages = run.reserve(sum(run.engine_bytes(n) for n in counts))

    def body(start):
        cores = {n: run.core(start, n, *pages) for n in counts}
        run.warm(*((core, "update") for core in cores.values()))
        for _ in range(run.rounds):
            for n, core in cores.items():
                run.core_window(core, "update", f"update_core_{n}", "updates", "records/s")
                run.core_window(core, "query:20", f"query_core_20_{n}", "queries", "queries/s")

    run.group("other numbers of entities", body)


def two_workers(run):
    if run.worker == run.other:
        run.trouble.append("two workers: there is one core only")
        return
    pages = run.reserve(5 * run.engine_bytes(MILLION))
    shares = [0, 25, 50, 75, 100] if run.full else [0, 50]

    def body(start):
        beside = run.core(start, MILLION, "--workers", "2", *pages)
        divided = run.core(start, MILLION, "--divided", *pages)
        # Two engines that have nothing in common but the machine: what it takes from one core when the other is busy.
        writer = run.core(start, MILLION, *pages)
        reader_of_own = start("presence-core-bench", "serve", "--entities", str(MILLION), "--core", str(run.other),
                              "--control-core", str(run.other), *pages, ready_s=180)
        run.warm((beside, "update"), (divided, "foreign:0"), (writer, "update"), (reader_of_own, "query:20"))
        for _ in range(run.rounds):
            lone = {"update": writer.ask(f"update {run.window_s}"), "query": reader_of_own.ask(f"query:20 {run.window_s}")}
            apart = ask_together((writer, f"update {run.window_s}"), (reader_of_own, f"query:20 {run.window_s}"))
            run.keep("update_kept_beside_another_engine", apart[0]["updates"] / lone["update"]["updates"], "share",
                     {**writer.ready, "beside": {**reader_of_own.ready, "scenario": "query:20"}})
            run.keep("query_kept_beside_another_engine", apart[1]["queries"] / lone["query"]["queries"], "share")
            alone = run.core_window(beside, "update", "update_reader_idle", "updates", "records/s")
            both = run.core_window(beside, "beside:20", "update_beside_queries", "updates", "records/s")
            reader = run.core_window(beside, "reader:20", "query_writer_idle", "queries", "queries/s")
            run.keep("query_beside_updates", both["queries"], "queries/s", {**beside.ready, "scenario": "beside:20"})
            run.keep("update_kept_beside_queries", both["updates"] / alone["updates"], "share")
            run.keep("query_kept_beside_updates", both["queries"] / reader["queries"], "share")
            for share in shares:
                run.core_window(divided, f"foreign:{share}", f"update_two_workers_foreign_{share}", "updates", "records/s")

    run.group("two workers", body)


def fences(run):
    """Standing volumes by themselves: index and memberships under a synthetic crowd, no engine behind them."""
    def body(start):
        # Beside each other only while they take turns: setting up takes seconds, measuring parts of one.
        scenes = {name: start("presence-fence-bench", name, "--core", str(run.worker)) for name in (("wide", "none", "notices") if run.full else ("wide", "notices"))}
        wide = scenes["wide"].ready
        run.keep("fence_setup_23000", wide["setup_s"], "s", wide)
        run.keep("fence_setup_23000_bytes", wide["index_bytes"] + wide["member_bytes"], "bytes")
        run.keep("fence_index_23000_bytes", wide["index_bytes"], "bytes")
        for _ in range(run.rounds):
            for name, figure, what in (("wide", "fence_update", "updates"), ("none", "fence_update_none_near", "updates"),
                                       ("notices", "fence_notices", "events")):
                if name not in scenes:
                    continue
                got = scenes[name].ask(f"updates {run.window_s}")
                if name == "wide" and got["events"]:
                    raise Failed("an update crossed an edge")
                run.keep(figure, got[what], "records/s" if what == "updates" else "notices/s", {**scenes[name].ready, "window": got})

    run.group("standing volumes by themselves", body)


def watched(run):
    """The engine under 23,000 subscribed circles, most of the crowd in one, nobody crossing an edge; the same without; and with every move told."""
    pages = run.reserve(3 * run.engine_bytes(MILLION) + (800 << 20))

    def body(start):
        plain = run.core(start, MILLION, *pages)
        under = run.core(start, MILLION, "--fences", "23000", *pages)
        run.keep("fences_subscribed_23000", under.ready["subscribe_s"], "s", under.ready)
        run.keep("fences_subscribed_23000_bytes", under.ready["memory_bytes"] - plain.ready["memory_bytes"], "bytes")
        told = run.core(start, MILLION, "--fences", "23000", "--moves", *pages)
        run.warm((plain, "update"), (under, "update"), (told, "update"))
        for _ in range(run.rounds):
            without = run.core_window(plain, "update", "update_without_fences", "updates", "records/s")
            got = run.core_window(under, "update", "update_under_fences", "updates", "records/s")
            run.keep("update_kept_under_fences", got["updates"] / without["updates"], "share")
            got = run.core_window(told, "update", "update_told", "updates", "records/s")
            if got["events_lost"]:
                raise Failed("an event was lost")
            run.keep("notices_told", got["events"], "notices/s", {"window": got})

    run.group("standing queries in the engine", body)


def small_fences(run):
    def body(start):
        small = start("presence-fence-bench", "small", "--core", str(run.worker))
        run.keep("fence_setup_1m", small.ready["setup_s"], "s", small.ready)
        run.keep("fence_setup_1m_bytes", small.ready["index_bytes"] + small.ready["member_bytes"], "bytes")
        for _ in range(run.rounds):
            run.keep("fences_1m", small.ask(f"updates {run.window_s}")["updates"], "records/s", small.ready)

    run.group("a million small standing volumes", body)


def latency(run):
    if run.worker == run.other:
        run.trouble.append("latency: there is one core only")
        return
    pages = run.reserve(2 * (run.engine_bytes(MILLION) + PORT_BYTES))
    where = ["--core", str(run.worker), "--control-core", str(run.other), *pages]

    def body(start):
        served = start("presence-latency-bench", *where)
        echo = start("presence-latency-bench", "--echo", *where)
        for key, value in served.ready["floor"].items():
            run.keep("latency_floor_us_" + key.removesuffix("_us"), value, "us", served.ready)
        for _ in range(run.rounds):
            capacity = served.ask(f"capacity {run.window_s}")["packets"]
            run.keep("latency_capacity", capacity, "packets/s")
            for share in (50, 70, 90) if not run.full else (10, 30, 50, 70, 80, 90):
                got = served.ask(f"load:{capacity * share / 100:.0f} {2 * run.window_s}")
                for key in ("p50", "p99", "p999"):
                    run.keep(f"latency_us_{key}_load_{share}", got[key + "_us"], "us",
                             {**served.ready, "load_percent": share, "packets": "9 updates of 1 record, 1 query of 20 hits",
                              "port": "two rings in one process", "window": got})
                # What the machine itself took: the asker's core, for so long at most and for this share of the window, and the worker's.
                run.keep(f"latency_away_us_load_{share}", got["away_us"], "us")
                run.keep(f"latency_away_share_load_{share}", got["away_share"], "share")
                run.keep(f"latency_worker_away_share_load_{share}", got["worker_away_share"], "share")
                run.keep(f"latency_answered_load_{share}", got["answers"] / max(got["queries"], 1), "share")
            # The same packets at the same times to a loop that takes as long for each and does nothing.
            echo.ask(f"service {1e9 / capacity:.0f}")
            for share in (50, 70, 90):
                got = echo.ask(f"load:{capacity * share / 100:.0f} {2 * run.window_s}")
                for key in ("p50", "p99", "p999"):
                    run.keep(f"latency_echo_us_{key}_load_{share}", got[key + "_us"], "us")

    run.group("latency", body)


@contextlib.contextmanager
def server(command, **more):
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, **more)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def best_depth(run, served, pattern, depths):
    """The depth that gives most, over a short window each."""
    rates = {d: served.ask(f"{pattern.format(depth=d)} {run.window_s / 2}")["operations"] for d in depths}
    return max(rates, key=rates.get), rates


def peer(run, served, cases, prefix):
    chosen = {}
    for name, (pattern, depths) in cases.items():
        chosen[name] = best_depth(run, served, pattern, depths)
    for _ in range(run.rounds):
        for name, (pattern, _) in cases.items():
            depth, rates = chosen[name]
            got = served.ask(f"{pattern.format(depth=depth)} {run.window_s}")
            unit = "queries/s" if "query" in pattern else "records/s"
            run.keep(prefix + name, got["operations"], unit,
                     {**served.ready, "depth": depth, "tried": rates, "results": got["results"], "lost": got["lost"]})


def redis(run):
    binary = shutil.which("redis-server")
    if not binary:
        run.trouble.append("redis: redis-server is not installed")
        return
    depths = [16, 64, 128, 256]

    def body(start):
        port = free_port(socket.SOCK_STREAM)
        with tempfile.TemporaryDirectory(prefix="bench-redis-") as folder, server(
                ["taskset", "-c", str(run.worker), binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly",
                 "no", "--dir", folder, "--daemonize", "no"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            wait_for(lambda: connects(port), process, "redis-server")
            with contextlib.closing(start("presence-peer-bench", "redis", "--port", str(port), "--core", str(run.other))) as served:
                peer(run, served, {"geoadd": ("update:{depth}", depths), "geoadd_jump": ("jump:{depth}", depths),
                                   "geosearch_20": ("query:20:{depth}", depths),
                                   "geosearch_100": ("query:100:{depth}", depths[:3])}, "redis_")

    run.group("Redis", body)


def connects(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def wait_for(done, process, name, limit_s=60, look_s=0.02):
    end = time.monotonic() + limit_s
    while not done():
        if process.poll() is not None:
            raise Failed(f"{name} ended with {process.returncode}")
        if time.monotonic() > end:
            raise Failed(f"{name} is not ready after {limit_s} s")
        time.sleep(look_s)


CONFIG = """
workers: {{count: 1, cores: [{core}], control_core: {control}, idle: {idle}}}
memory: {{entities: {entities}, huge_pages: {huge}, no_huge: true, socket_mem_mb: 64}}
sources:
  - {source}
spaces:
  - id: 6c6f6361-6c00-4000-8000-000000000001
    name: local
    kind: cartesian
    leaf_edge_m: 64
    leaf_height_m: 1024
    ttl_default_ms: 36000000
"""


def write_config(run, path, entities, huge, source, idle):
    path.write_text(CONFIG.format(core=run.worker, control=run.other, entities=entities, huge="true" if huge else "false", idle=idle, source=source))


@contextlib.contextmanager
def presenced(run, entities, huge, ring=None):
    """The engine as a process with its socket source, or, spinning, with a ring source in its place; yields port, seconds until it was ready, and the process."""
    port = free_port(socket.SOCK_DGRAM)
    with tempfile.TemporaryDirectory(prefix="bench-presenced-") as folder:
        config, log = pathlib.Path(folder, "presenced.yaml"), pathlib.Path(folder, "log")
        write_config(run, config, entities, huge, f"ring: {{path: {ring}, clients: 4, ring_kb: 1024}}" if ring else
                     f"socket: {{address: 127.0.0.1, port: {port}}}", "spin" if ring else "sleep")
        with log.open("wb") as out:
            begin = time.monotonic()
            with server([run.build / "dataplane/presenced", "--config", config], stdout=out, stderr=out) as process:
                wait_for(lambda: b"presenced: ready: " in log.read_bytes(), process, "presenced")
                yield port, time.monotonic() - begin, process


def own_socket(run):
    run.reserve(run.engine_bytes(MILLION))

    def body(start):
        with presenced(run, MILLION + 1024, run.pages) as (port, _, _):
            with contextlib.closing(start("presence-peer-bench", "udp", "--port", str(port), "--core", str(run.other))) as served:
                peer(run, served, {"update_16": ("update:{depth}", [32, 64, 128]),
                                   "query_20": ("query:20:{depth}", [8, 32, 64])}, "socket_")

    run.group("the engine's own socket source", body)


def rings(run):
    """The ring source: a client process on the other core, and the bare ring between the same two cores while the engine is stopped."""
    if run.worker == run.other:
        run.trouble.append("rings: there is one core only")
        return
    run.reserve(run.engine_bytes(MILLION))

    def measured(start, path, entities, name, updates):
        with presenced(run, entities + 1024, run.pages, path) as (_, _, engine), contextlib.closing(
                start("presence-ring-bench", f"shm://{path}", "--entities", str(entities), "--core", str(run.other), "--engine-core",
                      str(run.worker))) as served:
            served.ask("updates 0.5")
            for _ in range(run.rounds):
                engine.send_signal(signal.SIGSTOP)
                try:
                    bare = served.ask(f"floor {run.window_s}")
                finally:
                    engine.send_signal(signal.SIGCONT)
                if updates:
                    run.keep("ring_bare_elements", bare["elements"], "elements/s", served.ready)
                    run.keep("ring_bare_us_p50", bare["p50_us"], "us")
                    run.keep("ring_bare_us_least", bare["least_us"], "us")
                    got = served.ask(f"updates {run.window_s}")
                    run.keep("ring_update_16", got["updates"], "records/s", {**served.ready, "window": got})
                    run.keep("ring_update_16_of_bare", got["updates"] / bare["elements"], "ratio")
                for hits in (1, 20):
                    got = served.ask(f"query:{hits} {run.window_s}")
                    for key in ("p50", "p99"):
                        run.keep(f"{name}_{hits}_us_{key}", got[key + "_us"], "us", {**served.ready, "window": got})
                    run.keep(f"{name}_{hits}_us_least", got["least_us"], "us")
                    run.keep(f"{name}_{hits}_of_bare", got["p50_us"] / bare["p50_us"], "ratio")
                    run.keep(f"{name}_{hits}_of_bare_least", got["least_us"] / bare["least_us"], "ratio")

    def body(start):
        with tempfile.TemporaryDirectory(prefix="bench-ring-") as folder:
            measured(start, f"{folder}/p.sock", MILLION, "ring_query", True)
            # The same where memory has no part in it: what is left is the rings', the client's and the engine's own work.
            measured(start, f"{folder}/c.sock", CACHED, "ring_query_cached", False)

    run.group("the ring source", body)


def ring_restart(run, clients=8):
    """An engine that is killed under clients of its rings and started again at once: until all of them are attached, subscribed and told again."""
    def body(start):
        with tempfile.TemporaryDirectory(prefix="bench-restart-") as folder, contextlib.ExitStack() as engines:
            path, config = f"{folder}/p.sock", pathlib.Path(folder, "presenced.yaml")
            write_config(run, config, 100_000, False, f"ring: {{path: {path}, clients: {clients}, ring_kb: 256}}", "sleep")

            def engine(number):
                log = pathlib.Path(folder, f"log{number}")
                out = engines.enter_context(log.open("wb"))
                process = engines.enter_context(server([run.build / "dataplane/presenced", "--config", config], stdout=out, stderr=out))
                return process, lambda: wait_for(lambda: b"presenced: ready: " in log.read_bytes(), process, "presenced", look_s=0.001)

            process, ready = engine(0)
            ready()
            with contextlib.closing(start("presence-ring-restart", f"shm://{path}", "--clients", str(clients))) as served:
                for turn in range(2 * run.rounds):
                    killed = time.monotonic()
                    process.kill()
                    process.wait()
                    process, ready = engine(turn + 1)
                    ready_at = []
                    waiter = threading.Thread(target=lambda: (ready(), ready_at.append(time.monotonic())))
                    waiter.start()
                    got = served.ask("restart")
                    waiter.join()
                    # Who comes before the line was read came with it.
                    for name, step in (("attached", "attached_s"), ("subscribed", "subscribed_s"), ("told", "told_s")):
                        run.keep(f"ring_restart_{name}_ms", max(0, got[step] - ready_at[0]) * 1000, "ms", served.ready)
                    run.keep("ring_restart_ms", max(0, max(got["subscribed_s"], got["told_s"]) - ready_at[0]) * 1000, "ms", served.ready)
                    run.keep("ring_restart_from_kill_ms", (max(got.values()) - killed) * 1000, "ms", served.ready)

    run.group("an engine restarted under clients of its rings", body)


def start_up(run):
    run.reserve(run.engine_bytes(10 * MILLION))

    def body(_):
        for _ in range(3 if run.full else 1):
            with presenced(run, 10 * MILLION, run.pages) as (_, ready_s, _):
                run.keep("start_up_10m_s", ready_s, "s", {"entities": 10 * MILLION, "huge_pages": run.pages})

    run.group("start-up with ten million slots", body)


def measure_rings(build, rounds, window_s, huge_wanted):
    """What concerns rings alone."""
    with HugePages(huge_wanted) as huge:
        run = Run(build, rounds, window_s, False, huge)
        run.plan()
        rings(run)
        ring_restart(run)
    return run.figures(), run.trouble


def measure_stages(build, rounds, window_s, huge_wanted):
    with HugePages(huge_wanted) as huge:
        run = Run(build, rounds, window_s, False, huge)
        run.plan()
        stages(run)
    return run.figures(), run.trouble


def paired_times(run):
    """Each kind's |t|, of one run, or the median of three where one is beyond the bound: what is there is there in the next runs too."""
    def body(_):
        figures = paired.measure(run.build / "bench/presence-paired-bench", 1, say=lambda _: None)
        if not all(good for *_, good in paired.judge(figures)):
            figures = paired.measure(run.build / "bench/presence-paired-bench", 3, say=lambda _: None)
        for name, figure in figures.items():
            if name != "configuration":
                run.keep(name, figure["median"], figure["unit"], figures["configuration"])

    run.group("answer times of paired worlds", body)


def measure(build, rounds, window_s, full, huge_wanted):
    with HugePages(huge_wanted) as huge:
        run = Run(build, rounds, window_s, full, huge)
        run.plan()
        updates_and_queries(run)
        if full:
            guarded.measure(run)
        ten_millions(run)
        if full:
            by_entities(run)
            stages(run)
        two_workers(run)
        fences(run)
        watched(run)
        if full:
            small_fences(run)
        latency(run)
        redis(run)
        own_socket(run)
        rings(run)
        if full:
            ring_restart(run)
        start_up(run)
        if full:
            paired_times(run)
    return run.figures(), run.trouble

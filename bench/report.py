"""docs/benchmarks.md from the file that `scripts/bench full` writes: bench/report.py FILE [NAME]. Needs matplotlib.

Only what stands between the two marks of the page is made here; no number of it is written by hand. With NAME it is docs/benchmarks/NAME.md,
a page of figures alone, for another machine than the page's own."""
import json
import pathlib
import sys

import aims
import guarded

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "benchmarks"
BEGIN, END = "<!-- made by scripts/bench: begin -->", "<!-- made by scripts/bench: end -->"
BLUE, RED, GREEN, GREY = "#1f5fa8", "#b8432f", "#3a7d44", "#777777"

# What an update of a random entity reads and writes back, bytes: index line (read), first line of the record, one of its
# copies, slot (read and written).
LINES_READ, LINES_WRITTEN = 4, 3
# Figures of a server that is not here: memory channels' peak, and the share of it that random lines reach.
SERVER_BANDWIDTH, SERVER_SHARE = 307e9, 0.5
RING_BYTES = 512 * 128  # between each two workers, when there are more than four


class Figures:
    def __init__(self, data):
        self.data = data

    def get(self, name):
        return self.data.get(name)

    def median(self, name):
        f = self.data.get(name)
        return f["median"] if f else None

    def series(self, names):
        """(x, median, min, max) of those that were measured."""
        return [(x, *(self.data[n][k] for k in ("median", "min", "max"))) for x, n in names if n in self.data]


def number(value, unit=""):
    if value is None:
        return "not measured"
    if unit in ("records/s", "queries/s", "lines/s", "packets/s", "entities/s", "notices/s"):
        if value >= 1e6:
            return f"{value / 1e6:.2f} M"
        return f"{value / 1e3:.1f} k" if value >= 1e3 else f"{value:.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


# ---- pictures ----

def line(axes, points, label, colour, scale=1e6, style="o-"):
    if not points:
        return
    x, y, low, high = ([p[i] for p in points] for i in range(4))
    y, low, high = ([v / scale for v in values] for values in (y, low, high))
    errors = [[a - b for a, b in zip(y, low)], [b - a for a, b in zip(y, high)]]
    axes.errorbar(x, y, yerr=errors, fmt=style, color=colour, label=label, capsize=3, markersize=4, linewidth=1.4)


def finish(plt, figure, axes, path, title, x, y, legend=True):
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0) if axes.get_yscale() == "linear" else None
    axes.grid(alpha=0.3)
    if legend:
        # Below, where no point and no bar can be.
        axes.legend(frameon=False, fontsize=9, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.17))
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    path.write_text("\n".join(l.rstrip() for l in path.read_text().splitlines()) + "\n")


def draw(f, pictures):
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot as plt
    plt.rcParams.update({"svg.hashsalt": "benchmarks", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    pictures.mkdir(exist_ok=True)
    size = (6.4, 3.6)
    counts = [(30_000, "30000"), (100_000, "100000"), (300_000, "300000"), (1_000_000, "1m"), (3_000_000, "3000000"),
              (10_000_000, "10m")]

    figure, axes = plt.subplots(figsize=size)
    line(axes, f.series((n, "update_core_" + t) for n, t in counts), "updates, every one written", BLUE)
    third = [(x, *(v / 3 for v in rest)) for x, *rest in f.series(((1_000_000, "memory_lines_1m"), (10_000_000, "memory_lines_10m")))]
    line(axes, third, "random lines of the memory / 3", GREY, style="s--")
    axes.set_xscale("log")
    finish(plt, figure, axes, pictures / "entities.svg", "Updates a second by number of entities, one worker", "entities", "millions a second")

    figure, axes = plt.subplots(figsize=size)
    names = [(n, "query_core_20_" + t) for n, t in counts if t not in ("1m", "10m")]
    names += [(1_000_000, "query_core_20"), (10_000_000, "query_core_10m_20")]
    line(axes, f.series(sorted(names)), "20 results each", BLUE)
    line(axes, f.series(((1_000_000, "query_core_100"), (10_000_000, "query_core_10m_100"))), "100", RED)
    line(axes, f.series(((1_000_000, "query_core_1000"), (10_000_000, "query_core_10m_1000"))), "1000", GREEN)
    axes.set_xscale("log")
    finish(plt, figure, axes, pictures / "queries.svg", "Queries a second by number of entities, one worker", "entities", "millions a second")

    figure, axes = plt.subplots(figsize=size)
    shares = [(0, "update_core_1m")] + [(s, f"update_core_crossing_{s}") for s in (1, 5, 10, 25, 50, 100)]
    line(axes, f.series(shares), "into a neighbour cell", BLUE)
    line(axes, f.series((s, f"update_core_coalesced_{s}") for s in (0, 50, 90)), "covered by a threshold", GREEN)
    finish(plt, figure, axes, pictures / "crossings.svg", "Updates a second by what they do, a million entities", "% of the updates", "millions a second")

    figure, axes = plt.subplots(figsize=size)
    one = f.get("update_core_1m")
    if one:
        axes.axhspan(one["min"] / 1e6, one["max"] / 1e6, color=GREY, alpha=0.25, linewidth=0)
        axes.axhline(one["median"] / 1e6, color=GREY, linestyle="--", linewidth=1, label="one worker")
        axes.axhline(2 * one["median"] / 1e6, color=GREY, linestyle=":", linewidth=1, label="twice that")
    line(axes, f.series((s, f"update_two_workers_foreign_{s}") for s in (0, 25, 50, 75, 100)), "two workers together", BLUE)
    finish(plt, figure, axes, pictures / "workers.svg", "Two workers by share of updates that come in at the wrong one", "% of the updates",
           "millions a second")

    figure, axes = plt.subplots(figsize=size)
    loads = (10, 30, 50, 70, 80, 90)
    for key, label, colour in (("p50", "p50", BLUE), ("p99", "p99", RED), ("p999", "p99.9", GREEN)):
        line(axes, f.series((s, f"latency_us_{key}_load_{s}") for s in loads), label, colour, scale=1)
        if f.get("latency_floor_us_" + key):
            axes.axhline(f.median("latency_floor_us_" + key), color=colour, linestyle=":", linewidth=1)
    axes.set_yscale("log")
    finish(plt, figure, axes, pictures / "latency.svg", "Query to whole answer by load (dotted: the port itself)", "% of the capacity", "microseconds")


# ---- text ----

def table(rows, head):
    out = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return out + ["| " + " | ".join(str(c).replace("|", "\\|") for c in row) + " |" for row in rows]


def figure_rows(f, names):
    rows = []
    for name, text in names:
        x = f.get(name)
        if x:
            rows.append([f"`{name}`", text, number(x["median"], x["unit"]), f"{number(x['min'], x['unit'])} – {number(x['max'], x['unit'])}",
                         x["unit"]])
    return rows


MAIN = [
    ("memory_lines_1m", "random lines, as much memory as updates of 1 M entities choose among"),
    ("memory_lines_10m", "the same for 10 M"),
    ("memory_lines_second_level_1m", "asked for into the second level of the caches, 1 M"),
    ("memory_lines_second_level_10m", "the same for 10 M"),
    ("update_core_1m", "updates through table, coalescing and grid, 1 M entities"),
    ("update_core_10m", "10 M entities"),
    ("update_core_crossing_0", "none crosses, in the engine of those that cross, by their source"),
    ("update_core_crossing_10", "10 % of them into a neighbour cell"),
    ("update_core_coalesced_90", "90 % of them covered by a threshold"),
    ("coalesced_share", "the share that was covered in that"),
    ("update_message_16", "as messages of 16 records, without a port"),
    *((f"update_guarded_{kind}_of_open", f"the same {text}, by that of an open one beside it") for kind, text in guarded.KINDS.items()),
    ("update_packet_1", "packets of one record, from the Ethernet header on"),
    ("update_packet_16", "packets of 16 records"),
    ("update_packet_16_sign", "the same, signed, in 64 sessions"),
    ("update_packet_16_encrypt", "the same, encrypted"),
    ("update_packet_1_source_share", "share of the time that stamping these took, not counted above"),
    ("update_packet_16_source_share", "the same for 16 records"),
    ("update_packet_16_sign_source_share", "the same for signed ones, which the source signs"),
    ("update_packet_16_encrypt_source_share", "the same for encrypted ones"),
    ("source_update_packet_1", "what receiving, stamping and freeing these packets costs by itself"),
    ("source_update_packet_16", "the same for 16 records"),
    ("source_update_packet_16_sign", "the same, signed"),
    ("source_update_packet_16_encrypt", "the same, encrypted"),
    ("query_core_20", "queries of 20 results, records read and answers encoded"),
    ("query_core_100", "100 results"),
    ("query_core_1000", "1000 results"),
    ("query_scanned_1000", "positions tested in that"),
    ("query_lines_20", "lines of memory that a query of 20 results asks for"),
    ("query_lines_100", "100 results"),
    ("query_lines_1000", "1000 results"),
    ("nearest_10", "the 10 nearest to a place"),
    ("polygon_64_100", "polygons of 64 vertices, 100 results"),
    ("query_packet_20", "packet in to answer packet out"),
    ("mixed", "updates, with queries as 10 % of the packets"),
    ("mixed_queries", "and those queries"),
    ("update_beside_queries", "updates by one worker while the other one queries"),
    ("update_kept_beside_queries", "of what it does while the other one is idle"),
    ("query_beside_updates", "those queries"),
    ("query_kept_beside_updates", "of what it does while the other one is idle"),
    ("update_kept_beside_another_engine", "of what it does alone, while another engine answers queries on the other core"),
    ("query_kept_beside_another_engine", "of what it does alone, while another engine takes updates on the other core"),
    ("fences_subscribed_23000", "subscribing to 23,000 circles of 5 km, with the snapshot of who is in them"),
    ("fences_subscribed_23000_bytes", "what they take besides"),
    ("update_without_fences", "updates of an engine without standing queries, beside"),
    ("update_under_fences", "updates of one with these circles, most of the crowd in one, nobody crosses an edge"),
    ("update_kept_under_fences", "the one by the other, window by window"),
    ("fence_setup_23000", "adding 23,000 circles of 5 km to the index of standing volumes"),
    ("fence_setup_23000_bytes", "its index and memberships of a million entities"),
    ("fence_update", "updates through index and memberships alone, nobody crosses an edge"),
    ("fence_update_none_near", "the same where no circle is near"),
    ("update_told", "updates when each move within a circle is told to its subscriber, engine and all"),
    ("notices_told", "the events (MOVE) told then, in notices that are sent"),
    ("fence_notices", "events (MOVE) of updates within such circles, index and memberships alone"),
    ("fence_setup_1m", "adding a million circles of 50 m"),
    ("fence_setup_1m_bytes", "their index and memberships"),
    ("fences_1m", "updates through these, alone"),
    ("redis_geoadd", "Redis, GEOADD of the same small moves, its best depth"),
    ("redis_geoadd_jump", "Redis, GEOADD to anywhere"),
    ("redis_geosearch_20", "Redis, GEOSEARCH, 20 results"),
    ("redis_geosearch_100", "100 results"),
    ("socket_update_16", "presenced through its UDP socket source, 16 records a packet"),
    ("socket_query_20", "the same, queries of 20 results"),
    ("ring_update_16", "presenced through its ring source, 16 records a message, written in place"),
    ("ring_bare_elements", "the bare ring of 64-byte elements between the same two cores"),
    ("ring_query_1_us_p50", "query of one result over rings, round trip, the median"),
    ("ring_query_20_us_p50", "of 20 results"),
    ("ring_bare_us_p50", "the bare ring, there and back"),
    ("ring_query_1_of_bare", "the first by the last, window by window"),
    ("ring_query_1_of_bare_least", "the same of the fastest of each"),
    ("ring_query_cached_1_us_p50", "query of one result among 8,000 entities, which the caches hold"),
    ("ring_query_cached_1_of_bare", "that by the bare ring"),
    ("ring_restart_ms", "an engine killed under 8 clients and started again: from its being ready until all are attached, subscribed and told again"),
    ("ring_restart_from_kill_ms", "the same from the kill on"),
    ("bytes_an_entity", "all memory of the engine, 1 M entities"),
    ("bytes_an_entity_10m", "10 M"),
    ("start_up_10m_s", "presenced until it is ready, 10 M slots"),
]


def results(f, pictures):
    c = f.data["configuration"]
    m, r = c["machine"], c["run"]
    out = [f"Measured on {m['date']} at commit {m['commit']}: {m['processor']}, {m['cores']} cores, Linux {m['kernel']}; "
           f"{r['rounds']} rounds of {r['window_s']} s windows, {r['seconds']} s in all"
           f"{', huge pages' if c.get('update_core_1m', {}).get('pages') == 'huge pages' else ', ordinary pages'}.", ""]
    out += table(figure_rows(f, MAIN), ["name", "what", "median", "least – most", "unit"]) + [""]
    loads = [[f"{s} %", *(number(f.median(f"latency_us_{k}_load_{s}")) for k in ("p50", "p99", "p999")),
              number(f.median(f"latency_away_us_load_{s}")),
              *(number(f.median(f"latency_echo_us_{k}_load_{s}")) if f.get(f"latency_echo_us_{k}_load_{s}") else "" for k in ("p50", "p99"))]
             for s in (10, 30, 50, 70, 80, 90) if f.get(f"latency_us_p50_load_{s}")]
    if loads:
        loads.append(["the port itself", *(number(f.median(f"latency_floor_us_{k}")) for k in ("p50", "p99", "p999")), "", "", ""])
        out += [f"Query to whole answer, microseconds, at shares of a capacity of {number(f.median('latency_capacity'), 'packets/s')} packets a second:", ""]
        out += table(loads, ["load", "p50", "p99", "p99.9", "longest time away of the asker", "echo, p50", "echo, p99"]) + [""]
    out += ["### Against the aims", ""]
    out += table([[text, value, wanted, "" if value == "not measured" else "not allowed" if good is None else "yes" if good else "**no**"]
                  for text, value, wanted, good in aims.check(f.data)], ["what", "measured", "wanted", "reached"]) + [""]
    bound = [[text, f"{lines:.0f}", number(rate * lines, "lines/s"), f"{rate * lines / memory:.2f}", f"{wanted * lines / memory:.2f}" if wanted else ""]
             for text, lines, rate, memory, wanted in aims.memory_bound(f.data) if lines and rate and memory]
    if bound:
        out += ["### What memory allows", "",
                "Lines that are asked for at places of chance, beside the random lines that this memory gives one core (the better of the "
                "two levels that they are asked for into). It is a count, not a measurement: the seven lines of a chunk follow each other, and a "
                "cell's bucket is left out. What an aim would take of these is beyond the machine where it is more than 1, "
                "unless records lay otherwise.", ""]
        out += table(bound, ["what", "lines each", "lines a second", "of the memory's", "the aim would take"]) + [""]
    for t in r["trouble"]:
        out += [f"Not measured: {t}", ""]
    for name, text in (("entities", "Updates a second by number of entities"), ("queries", "Queries a second by number of entities"),
                       ("crossings", "Updates a second by share of crossings and of coalesced ones"),
                       ("workers", "Two workers by share of foreign updates"), ("latency", "Latency by load")):
        out += [f"![{text}]({pictures}/{name}.svg)", ""]
    return out


# In the order in which they come; the rest of a turn is what stands between two.
STAGES = ("decode", "probe", "verify", "insert", "write", "prepare", "fetch", "scan", "accept", "answer", "due")
STAGED = ("update", "message_16", "crossing_10", "query_20", "query_100", "query_1000")


def stages(f):
    rate = f.median("stage_cycles_a_ns")
    if not rate:
        return ["Cycles of each stage were not measured.", ""]
    rows = []
    for name in STAGED:
        for kind in ("", "_cached"):
            values = [f.median(f"stage_{name}{kind}_{stage}") for stage in STAGES]
            rows.append([f"`{name}`{', in the caches' if kind else ''}", *("" if v is None or v < 0.5 else number(v) for v in values),
                         number(sum(v for v in values if v))])
    return [f"Cycles of the time-stamp counter ({rate:.2f} a nanosecond) that an update or a query spends in each stage (`docs/hot-path.md`), a "
            "million entities and 8,000, by a build with marks. In `update` and `crossing_10`, `decode` is the source that makes the updates.", "",
            *table(rows, ["", *STAGES, "all"]), ""]


def model(f):
    packet, core1, core10 = (f.median(n) for n in ("update_packet_16", "update_core_1m", "update_core_10m"))
    none, all_ = (f.median(f"update_two_workers_foreign_{s}") for s in (0, 100))
    if not all((packet, core1, core10, none, all_)):
        return ["The model needs figures that were not measured.", ""]
    own, spread = 1e9 / packet, 1e9 / core10 - 1e9 / core1
    hand = 2e9 / all_ - 2e9 / none
    moved = 64 * (LINES_READ + LINES_WRITTEN)
    bound = SERVER_BANDWIDTH * SERVER_SHARE / moved
    out = [f"Measured parts: an update in a packet of 16 costs a worker {own:.0f} ns at a million entities and "
           f"{spread:.0f} ns more at ten millions, where its lines come from further away; a hand-over adds {hand:.0f} ns (both sides "
           f"together); two workers do {none / core1:.2f} times what one does. An update moves {moved} bytes between memory and cache, so that "
           f"a server with {SERVER_BANDWIDTH / 1e9:.0f} GB/s, of which random lines reach about {SERVER_SHARE:.0%} (both assumed, not measured here), "
           f"moves at most {bound / 1e6:.0f} M updates a second, however many cores it has.", ""]
    rows = []
    for workers in (1, 2, 16, 32, 64):
        row = [workers]
        for foreign in (0, 0.1, 1.0):
            rate = workers * 1e9 / (own + spread + foreign * hand)
            row.append(f"{min(rate, bound) / 1e6:.0f} M" + (" (memory)" if rate > bound else ""))
        row.append(f"{number(moved * workers * 1e9 / (own + spread) / 1e9)} GB/s")
        row.append(f"{workers * workers * RING_BYTES / 2**20:.0f} MiB" if workers > 4 else "-")
        rows.append(row)
    return out + table(rows, ["workers", "all at home", "10 % foreign", "all foreign", "memory traffic asked for", "rings"]) + [""]


def made(f, pictures):
    return "\n".join([BEGIN, "", "## Results", "", *results(f, pictures), "## Cycles of each stage", "", *stages(f),
                      "## The model's numbers", "", *model(f), END])


def main():
    f = Figures(json.loads(pathlib.Path(sys.argv[1]).read_text()))
    if len(sys.argv) > 2:
        name = sys.argv[2]
        page, pictures = PICTURES / f"{name}.md", PICTURES / name
        text = "# Benchmarks on another machine\n\nHow, and on the first one: [benchmarks](../benchmarks.md).\n\n" + made(f, name) + "\n"
    else:
        page, pictures, text = PAGE, PICTURES, PAGE.read_text()
        if text.count(BEGIN) != 1 or text.count(END) != 1:
            raise SystemExit(f"{PAGE}: the marks of what is made are missing")
        text = text[:text.index(BEGIN)] + made(f, PICTURES.name) + text[text.index(END) + len(END):]
    draw(f, pictures)
    page.write_text(text)
    print(f"{page.relative_to(ROOT)} and {pictures.relative_to(ROOT)}/*.svg are made")


if __name__ == "__main__":
    main()

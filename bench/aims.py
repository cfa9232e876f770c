"""What the figures shall reach on the development machine, as ratios where the machine itself sets the bound."""


def check(figures):
    """Yields text, value, what is wanted, True, False or None (a figure is missing, or the machine does not allow it)."""
    def median(name):
        return figures[name]["median"] if name in figures else None

    def over(a, b, factor=1.0):
        x, y = median(a), median(b)
        return None if x is None or not y else x / (y * factor)

    def at_least(text, value, least, form="{:.2f}"):
        if value is None:
            return text, "not measured", "at least " + form.format(least), None
        return text, form.format(value), "at least " + form.format(least), value >= least

    def at_most(text, value, most, form="{:.2f}"):
        if value is None:
            return text, "not measured", "at most " + form.format(most), None
        return text, form.format(value), "at most " + form.format(most), value <= most

    # Where the machine alone, the echo, takes longer than that, it says nothing of the engine.
    def beside_floor(text, value, most, floor):
        if value is None or floor is None:
            return text, "not measured", f"at most {most}", None
        reached = value <= most
        return text, f"{value:,.1f} (echo {floor:,.1f})", f"at most {most}, if the echo allows it", reached if reached or floor <= most else None

    millions = "{:,.0f}"
    yield at_least("updates at 1 M / (random lines / 3)", over("update_core_1m", "memory_lines_1m", 1 / 3), 0.45)
    yield at_least("updates at 10 M / (random lines / 3)", over("update_core_10m", "memory_lines_10m", 1 / 3), 0.60)
    yield at_least("the same, lines asked for into the second level: 1 M",
                   over("update_core_1m", "memory_lines_second_level_1m", 1 / 3), 0.45)
    yield at_least("the same, into the second level: 10 M", over("update_core_10m", "memory_lines_second_level_10m", 1 / 3), 0.60)
    yield at_least("10 % crossings / none", over("update_core_crossing_10", "update_core_1m"), 0.80)
    yield at_least("the same / none, by the source and in the engine of the crossings",
                   over("update_core_crossing_10", "update_core_crossing_0"), 0.80)
    yield at_least("90 % coalesced / none", over("update_core_coalesced_90", "update_core_1m"), 1.0)
    yield at_least("the same / none in the same space", over("update_core_coalesced_90", "update_core_coalesced_0"), 1.0)
    yield at_least("updates, 1 a packet", median("update_packet_1"), 12e6, millions)
    yield at_least("updates, 16 a packet", median("update_packet_16"), 18e6, millions)
    yield at_least("the same signed / open", over("update_packet_16_sign", "update_packet_16"), 0.6)
    yield at_least("the same encrypted / open", over("update_packet_16_encrypt", "update_packet_16"), 0.5)
    yield at_least("queries of 20 hits", median("query_core_20"), 2e6, millions)
    yield at_least("queries of 100 hits", median("query_core_100"), 1e6, millions)
    yield at_least("entities scanned a second, 1000 hits", median("query_scanned_1000"), 250e6, millions)
    yield at_least("the 10 nearest", median("nearest_10"), 3e5, millions)
    yield at_least("polygons of 64 vertices, 100 hits", median("polygon_64_100"), 3e5, millions)
    # What an update takes more when its entity is looked up among standing volumes: times add up.
    yield at_least("updates kept under 23,000 circles", median("update_kept_under_fences"), 0.5)
    yield at_least("notices of standing volumes, index and memberships alone", median("fence_notices"), 3e6, millions)
    yield at_least("queries of 20 hits, packet to packet", median("query_packet_20"), 1e6, millions)
    yield at_least("updates kept beside queries", median("update_kept_beside_queries"), 0.9)
    yield at_least("queries kept beside updates", median("query_kept_beside_updates"), 0.9)
    yield at_least("the first / what is kept beside an engine of its own", over("update_kept_beside_queries", "update_kept_beside_another_engine"), 0.9)
    yield at_least("the second / likewise", over("query_kept_beside_updates", "query_kept_beside_another_engine"), 0.9)
    yield at_least("updates, 16 a packet / GEOADD", over("update_packet_16", "redis_geoadd"), 50, "{:.1f}")
    yield at_least("queries, packet to packet / GEOSEARCH", over("query_packet_20", "redis_geosearch_20"), 40, "{:.1f}")
    yield at_least("socket updates / GEOADD", over("socket_update_16", "redis_geoadd"), 1, "{:.1f}")
    yield at_least("socket queries / GEOSEARCH", over("socket_query_20", "redis_geosearch_20"), 1, "{:.1f}")
    yield at_least("ring updates in place, 16 a message", median("ring_update_16"), 10e6, millions)
    yield at_most("ring query of 1 hit, round trip / bare ring", median("ring_query_1_of_bare"), 3)
    yield at_most("8 ring clients go on after a restart, ms", median("ring_restart_ms"), 2000, "{:.0f}")
    yield at_most("p50 at 70 % load, us", median("latency_us_p50_load_70"), 10, "{:.1f}")
    yield beside_floor("p99 at 70 % load, us", median("latency_us_p99_load_70"), 50, median("latency_echo_us_p99_load_70"))
    yield at_least("updates at 10 M / at 1 M", over("update_core_10m", "update_core_1m"), 0.5)
    yield at_most("bytes an entity", median("bytes_an_entity"), 224, "{:.0f}")
    paired = [figures[n]["median"] for n in figures if n.startswith("paired_times_t_") and not n.endswith("_seen")]
    yield at_most("answer times with and without hidden entities, largest |t|", max(paired, default=None), 4.5)
    yield at_most("start-up with 10 M slots, s", median("start_up_10m_s"), 5, "{:.1f}")


UPDATE_LINES = 4  # an index bucket, two of the record, one of the slot


def memory_bound(figures):
    """What is limited by random lines of memory: yields text, lines an operation, operations a second, lines a second that the
    memory of this machine gives, and the operations a second that are wanted."""
    def median(name):
        return figures[name]["median"] if name in figures else 0

    def memory(entities):
        return max(median(f"memory_lines_{entities}"), median(f"memory_lines_second_level_{entities}"))

    for entities, text, share in (("1m", "an update at 1 M", 0.45), ("10m", "an update at 10 M", 0.60)):
        yield text, UPDATE_LINES, median(f"update_core_{entities}"), memory(entities), share * median(f"memory_lines_{entities}") / 3
    for hits, wanted in ((20, 2e6), (100, 1e6), (1000, None)):
        rate = median(f"query_core_{hits}")
        scanned = median(f"query_scanned_{hits}")
        if wanted is None and rate and scanned:
            wanted = 250e6 / (scanned / rate)
        yield f"a query of {hits} results", median(f"query_lines_{hits}"), rate, memory("1m"), wanted
    yield "a query of 20, packet to packet", median("query_lines_20"), median("query_packet_20"), memory("1m"), 1e6

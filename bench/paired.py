"""Answer times where somebody is hidden near the asked place and where nobody is: presence-paired-bench, told as figures.

Each run is of 104,000 questions of each kind in turns of both worlds, for two pairs of worlds: `beside` with the hidden ones near or far away,
`absent` with them near or not there. paired_times_t_… is |t| of Welch's test of all times (below what 95 in 100 are below);
paired_times_pairs_t_… that of the differences of neighbouring turns, which no drift of the machine is in. Both worlds take as long where |t| is
below 4.5. A machine with others on it makes single runs differ: the figure is the median of runs with other places and
another order. `seen` is the same question by who may see them, a tenth as often and apart from the others, and shows that a difference would be found.
"""
import json
import os
import statistics
import subprocess
import sys

BOUND = 4.5
MODES = ("beside", "absent")
KINDS = ("sphere", "nearest", "box", "point", "cells", "explain", "seen")


def once(binary, seed, mode, pairs):
    command = [str(binary), "--seed", str(seed), "--pairs", str(pairs), "--core", str(max(os.sched_getaffinity(0)))]
    done = subprocess.run(command + (["--absent"] if mode == "absent" else []), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def measure(binary, runs, pairs=13000, say=lambda line: print(line, file=sys.stderr)):
    samples = {}
    for number in range(runs):
        for mode in MODES:
            say(f"bench: answer times of paired worlds, {mode}, run {number + 1} of {runs}")
            for kind, got in once(binary, number + 1, mode, pairs).items():
                for name, value, unit in (("t", abs(got["t"]), "t"), ("pairs_t", abs(got["t_of_pairs"]), "t"),
                                          ("more_ns", got["more_ns"], "ns"), ("ns", got["ns"], "ns")):
                    samples.setdefault(f"paired_times_{name}_{mode}_{kind}", (unit, []))[1].append(value)
    figures = {name: {"median": statistics.median(v), "min": min(v), "max": max(v), "unit": unit}
               for name, (unit, v) in samples.items()}
    figures["configuration"] = {"paired_times": {"runs": runs, "questions_of_a_kind": 8 * pairs, "bound": BOUND}}
    return figures


def judge(figures):
    """name, value, what is wanted, True or False."""
    for mode in MODES:
        for kind in KINDS:
            value, seen = figures[f"paired_times_t_{mode}_{kind}"]["median"], kind == "seen"
            yield (f"{mode}: {kind}", value, f"{'>=' if seen else '<'} {BOUND}", (value >= BOUND) == seen)

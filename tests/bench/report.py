"""Figures over all rounds, their ratios, and the bounds they are held to."""

import json
import math

import gauge

ROWS = [
    # name of the row, key, how it is taken, unit
    ("start until ready, first", "first_start", 50, "ms"),
    ("start until ready, again", "ready", 50, "ms"),
    ("trigger to first line, p50", "start", 50, "ms"),
    ("trigger to first line, p95", "start", 95, "ms"),
    ("trigger to finished, p50", "finish", 50, "ms"),
    ("trigger to finished, p95", "finish", 95, "ms"),
    ("one right after the other: first line, p50", "start_close", 50, "ms"),
    ("  first line, p95", "start_close", 95, "ms"),
    ("  finished, p50", "finish_close", 50, "ms"),
    ("of which the client's own start", "client", 50, "ms"),
    ("jobs a second, queue drained by two", "jobs_per_s", 50, "/s"),
    ("queued a second", "enqueue_per_s", 50, "/s"),
    ("CPU of a queued trivial job, in all", "cpu_per_job", 50, "ms"),
    ("written to disk for a trivial job", "written", 50, "KiB"),
    ("large log in blocks: job's wall", "blocks_wall", 50, "s"),
    ("  trigger to finished", "blocks_done", 50, "s"),
    ("  more memory meanwhile", "blocks_memory", 100, "MiB"),
    ("large log by lines: job's wall", "lines_wall", 50, "s"),
    ("  trigger to finished", "lines_done", 50, "s"),
    ("  more memory meanwhile", "lines_memory", 100, "MiB"),
    ("print to following client, p50", "tail", 50, "ms"),
    ("print to following client, p95", "tail", 95, "ms"),
    ("idle: resident memory", "idle_rss", 50, "MiB"),
    ("idle: proportional memory", "idle_pss", 50, "MiB"),
    ("idle: CPU", "idle_cpu_ms_per_s", 50, "ms/s"),
    ("idle: written", "idle_written", 50, "B"),
]

BOUNDS = [
    # what, figure, share of, factor, smaller is better
    ("first line, p50, of Laminar's", ("appliance", "start", 50), ("laminar", "start", 50), 0.5, True),
    ("jobs a second, of Laminar's", ("appliance", "jobs_per_s", 50), ("laminar", "jobs_per_s", 50), 4, False),
    ("KiB written for a trivial job", ("appliance", "written", 50), None, 16, True),
    ("large log in blocks, wall of bash's", ("appliance", "blocks_wall", 50), ("floor", "blocks_wall", 50), 1.3, True),
    ("large log by lines, wall of bash's", ("appliance", "lines_wall", 50), ("floor", "lines_wall", 50), 1.3, True),
    ("large log, finished, of Laminar's", ("appliance", "blocks_done", 50), ("laminar", "blocks_done", 50), 0.7, True),
    ("large log, MiB more memory", ("appliance", "blocks_memory", 100), None, 16, True),
    ("print to client, ms", ("appliance", "tail", 50), None, 2, True),
    ("idle MiB of all processes", ("appliance", "idle_pss", 50), None, 32, True),
    ("idle CPU, ms a second", ("appliance", "idle_cpu_ms_per_s", 50), None, 0.1, True),
    ("idle, bytes written", ("appliance", "idle_written", 50), None, 0, True),
    ("ready again, ms", ("appliance", "ready", 50), None, 150, True),
]

PEERS = ("floor", "laminar", "appliance")


class Figures:
    """Every value measured, by peer and key."""

    def __init__(self):
        self.values = {}

    def add(self, peer, key, values):
        self.values.setdefault((peer, key), []).extend(values)

    def get(self, peer, key, share):
        values = self.values.get((peer, key))
        return gauge.percentile(values, share) if values else None

    def show(self):
        print(f"\n{'':44}" + "".join(f"{peer:>14}" for peer in PEERS))
        for row, key, share, unit in ROWS:
            found = [self.get(peer, key, share) for peer in PEERS]
            if any(value is not None for value in found):
                print(f"{row:44}" + "".join(f"{shown(value, unit):>14}" for value in found))
        print()
        for what, (peer, key, share), base, bound, smaller in BOUNDS:
            value = self.get(peer, key, share)
            divisor = self.get(*base) if base else 1
            if value is None or not divisor:
                continue
            ratio = value / divisor
            held = ratio <= bound if smaller else ratio >= bound
            print(f"{'held  ' if held else 'MISSED'} {what:44} {ratio:10.2f}  bound {bound}")

    def save(self, path):
        with open(path, "w") as file:
            json.dump({f"{peer}/{key}": values for (peer, key), values in self.values.items()}, file)


def shown(value, unit):
    if value is None:
        return "–"
    digits = max(0, 2 - int(math.log10(abs(value)))) if value else 0
    return f"{value:.{min(digits, 2)}f} {unit}"

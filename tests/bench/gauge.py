"""What is measured with: percentiles, processes by their program, memory, time and bytes written.

Units: seconds and bytes inside; milliseconds, MiB and KiB where they are shown.
Source: proc(5). `write_bytes` counts what a process made dirty for a disk, pages at a time, less what
was removed before it got there; ended children that were waited for count with their parent.
"""

import os
import threading
import time

TICK = 0.05
"""Between two looks at memory."""


def percentile(values, share):
    """The value that `share` percent of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(len(ordered) * share / 100 + 0.5) - 1))]


def median(values):
    return percentile(values, 50)


def processes(program):
    """Ids of all processes that run the file `program`."""
    wanted = os.path.realpath(program)
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if os.readlink(f"/proc/{name}/exe") == wanted:
                found.append(int(name))
        except OSError:
            pass
    return found


def _fields(pid, file):
    try:
        with open(f"/proc/{pid}/{file}") as lines:
            rows = (line.split(":", 1) for line in lines if ":" in line)
            return {name: int(value.split()[0]) for name, value in rows if value.split()[0].isdigit()}
    except (OSError, IndexError):
        return {}


def memory(pids):
    """Resident and proportional bytes of these processes together."""
    rollups = [_fields(pid, "smaps_rollup") for pid in pids]
    total = lambda name: sum(rollup.get(name, 0) for rollup in rollups) * 1024
    return total("Rss"), total("Pss")


def written(pids):
    """Bytes that these processes and their ended children sent to disks."""
    counts = [_fields(pid, "io") for pid in pids]
    return sum(count.get("write_bytes", 0) - count.get("cancelled_write_bytes", 0) for count in counts)


def thread_seconds(pids):
    """CPU time of each living thread of these processes, exact."""
    found = {}
    for pid in pids:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                    found[thread] = int(file.read().split()[0]) / 1e9
        except OSError:
            pass
    return found


def processor_seconds(pids):
    """CPU time of these processes' living threads together."""
    return sum(thread_seconds(pids).values())


def processor_seconds_with_children(pids):
    """CPU time of these processes and of their ended children, to a clock tick. What kernel threads
    do for them (the end of namespaces, say) is nobody's."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            # utime, stime, cutime and cstime of proc(5).
            total += sum(map(int, fields[11:15]))
        except OSError:
            pass
    return total / os.sysconf("SC_CLK_TCK")


class PeakMemory:
    """Watches the memory of a program's processes while its block runs; the growth afterwards."""

    def __init__(self, program):
        self.program = program
        self.rss = self.pss = 0

    def __enter__(self):
        self.before = memory(processes(self.program))
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self):
        while not self.over.wait(TICK):
            rss, pss = memory(processes(self.program))
            self.rss, self.pss = max(self.rss, rss), max(self.pss, pss)

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    @property
    def growth(self):
        """Proportional bytes above those before."""
        return max(0, self.pss - self.before[1])


def wait_for(what, check, seconds=60, pause=0.002):
    """Waits until `check` gives something true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(pause)
    raise SystemExit(f"gave up waiting for {what}")


def rest(program, quiet=0.5, seconds=20):
    """Waits until a program's processes have been idle for `quiet` seconds."""
    end = time.monotonic() + seconds
    before = processor_seconds(processes(program))
    while time.monotonic() < end:
        time.sleep(quiet)
        now = processor_seconds(processes(program))
        if now - before < 0.01 * quiet:
            return
        before = now


def idle(program, seconds):
    """What a program's processes use while nothing happens."""
    pids = processes(program)
    before, bytes_before = thread_seconds(pids), written(pids)
    time.sleep(seconds)
    # A thread that ends while nothing happens takes with it what it had done before.
    spent = sum(now - before.get(thread, 0) for thread, now in thread_seconds(pids).items())
    rss, pss = memory(pids)
    return {
        "idle_rss": rss,
        "idle_pss": pss,
        "idle_cpu_ms_per_s": spent * 1000 / seconds,
        "idle_written": written(pids) - bytes_before,
    }

"""The jobs that every peer runs: the same bash, line for line.

A line `AT <time>` is the job's own clock; nobody's claim is measured.
"""

AT = 'echo "AT $EPOCHREALTIME"'

LINE = "0123456789" * 9 + "012345678"
"""99 characters and a line end are 100 bytes."""

TAIL_LINES = 150


def flood(lines, per_line):
    """Prints `lines` lines of 100 bytes, in blocks or with one write each, and how long that took.

    The clock stops when the last byte is in the pipe: a slow reader makes the job wait."""
    head = f"head -n {lines}" + (" | grep --line-buffered 0" if per_line else "")
    # `yes` dies of a closed pipe, which is no failure.
    return "\n".join([
        "set +o pipefail", "begun=$EPOCHREALTIME", f"yes {LINE} | {head}", "ended=$EPOCHREALTIME",
        'echo; echo "WALL $begun $ended"'])


def tail():
    """Prints the time, twenty times a second."""
    return f"for i in $(seq {TAIL_LINES}); do {AT}; sleep 0.05; done"


def scripts(lines):
    """All jobs by name."""
    return {
        "trivial": AT,
        "nap": "sleep 1",
        "hold": "sleep 6",
        "blocks": flood(lines, False),
        "lines": flood(lines, True),
        "tail": tail(),
    }


def at(log):
    """The job's clock at its first line, from its log."""
    for line in log.splitlines():
        if line.startswith("AT "):
            return float(line.split()[1])
    raise SystemExit(f"no time in the log: {log[:500]!r}")


def wall(log):
    """How long the job printed, from the end of its log."""
    for line in reversed(log[-400:].splitlines()):
        if line.startswith("WALL "):
            begun, ended = line.split()[1:3]
            return float(ended) - float(begun)
    raise SystemExit(f"no wall time at the end of the log: {log[-400:]!r}")

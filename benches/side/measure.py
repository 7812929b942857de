"""Runs two sides of a case in turn and keeps the ratios."""

import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass
class Took:
    """What one run cost: seconds by the clock, seconds of processor."""

    wall: float
    cpu: float


class Failed(Exception):
    """A command ended with an error."""


def run(command, check=True, **kwargs):
    """Runs a command to its end and tells what it and its children took. Nothing that ran before is still being written then."""
    os.sync()
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **kwargs)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if check and process.returncode != 0:
        raise Failed(f"{command} ended with {process.returncode}:\n{error.decode(errors='replace')}")
    return Took(wall, usage.ru_utime + usage.ru_stime)


def peak(command, **kwargs):
    """Runs a command to its end and tells its peak memory in MB. It is started by a small process of its own: the system counts for a
    process what its parent had when it was started."""
    starter = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); " \
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    result = subprocess.run([sys.executable, "-c", starter, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
    if result.returncode:
        raise Failed(f"{command} ended with {result.returncode}:\n{result.stderr}")
    return int(result.stdout) / 1024


@dataclass
class Row:
    """One line of the table: a figure of ours, the rival's, and what it must be at most."""

    case: str
    what: str
    rival: str
    ours: str
    theirs: str
    value: float
    reach: float | None
    unit: str = "x"

    def line(self):
        shown = f"{self.value:.2f} x" if self.unit == "x" else f"{self.value:.3g} {self.unit}"
        reach = "-" if self.reach is None else f"<= {self.reach:g} {self.unit}"
        verdict = "-" if self.reach is None else "yes" if self.value <= self.reach else "**no**"
        return f"| `{self.case}` | {self.what} | {self.rival} | {self.ours} | {self.theirs} | {shown} | {reach} | {verdict} |"


class Table:
    """The rows of a run, printed as they come and once more at the end."""

    HEAD = "| case | what | rival | model-manager | rival's | figure | reach | reached |\n|---|---|---|---|---|---|---|---|"

    def __init__(self, runs):
        self.runs = runs
        self.rows = []
        self.skipped = []
        self.case = ""

    def add(self, row):
        self.rows.append(row)
        print("  " + row.line(), file=sys.stderr, flush=True)

    def skip(self, why):
        self.skipped.append(f"`{self.case}`: {why}")
        print(f"  left out: {why}", file=sys.stderr, flush=True)

    def pair(self, what, rival_name, ours, rival, reach=None, cpu_reach=None):
        """Runs both sides in turn; the ratio is the median of the pairs. Each side is a function that gives a Took, or
        a pair (prepare, run) of which only the second counts."""
        pairs = [(side(ours), side(rival)) for _ in range(self.runs)]
        mine, theirs = [a for a, _ in pairs], [b for _, b in pairs]
        median = statistics.median
        seconds = lambda values: f"{median(values):.3f} s"
        self.add(Row(self.case, what, rival_name, seconds(t.wall for t in mine), seconds(t.wall for t in theirs),
                     median(a.wall / b.wall for a, b in pairs), reach))
        if cpu_reach is not None:
            self.add(Row(self.case, f"{what}: CPU seconds", rival_name, seconds(t.cpu for t in mine), seconds(t.cpu for t in theirs),
                         median(a.cpu / b.cpu for a, b in pairs), cpu_reach))
        return mine, theirs

    def figure(self, what, value, unit, reach=None, against=""):
        """A figure that is held against a number and not against a rival."""
        self.add(Row(self.case, what, against or "-", f"{value:.3g} {unit}", "-", value, reach, unit))

    def text(self, command):
        lines = [f"{machine()}, {time.strftime('%Y-%m-%d')}, median of {self.runs} pairs. Repeat: `{command}`", "", self.HEAD]
        lines += [row.line() for row in self.rows]
        if self.skipped:
            lines += ["", "Left out: " + "; ".join(self.skipped) + "."]
        return "\n".join(lines)


def side(work):
    if isinstance(work, tuple):
        prepare, work = work
        return work(prepare())
    return work()


def machine():
    """What the figures were taken on."""
    model = "unknown processor"
    try:
        with open("/proc/cpuinfo") as lines:
            model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
        with open("/proc/meminfo") as lines:
            memory = f", {int(next(lines).split()[1]) >> 20} GiB"
    except OSError:
        memory = ""
    return f"{model}, {os.cpu_count()} cores{memory}, {platform.system()} {platform.release()}"

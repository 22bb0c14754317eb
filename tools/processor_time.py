"""A plugin for pytest that measures the processor time of every file of tests, with the processes they start.

`make test ARGS="-p tools.processor_time"` writes `tests/processor_time.txt`; a run of one file of tests renews its line
alone. By the list `tests/conftest.py` runs the longest files first and marks the slow ones. Time on the clock would say
how busy the machine was.
"""

from __future__ import annotations

import resource
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

LIST = Path(__file__).resolve().parents[1] / "tests" / "processor_time.txt"
_SECONDS: defaultdict[str, float] = defaultdict(float)


def _seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used) + sum(map(_served_seconds, psutil.Process().children()))


def _served_seconds(process: psutil.Process) -> float:
    """Return the time of a server of processes and of those it has forked: `tests/forked_engines.py`."""
    try:
        is_server = any("multiprocessing.forkserver" in word for word in process.cmdline())
        return sum(process.cpu_times()[:4]) if is_server else 0.0
    except psutil.Error:
        return 0.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    before = _seconds()
    result = yield
    _SECONDS[item.nodeid.split("::")[0]] += _seconds() - before
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["processor_time"] = dict(_SECONDS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    for path, seconds in getattr(node, "workeroutput", {}).get("processor_time", {}).items():
        _SECONDS[path] += seconds


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    before = (line.split() for line in LIST.read_text(encoding="utf-8").splitlines())
    known = {path: float(seconds) for seconds, path in before if (LIST.parents[1] / path).is_file()} | _SECONDS
    longest = sorted(known.items(), key=lambda item: -item[1])
    lines = [f"{seconds:6.1f} {path}\n" for path, seconds in longest if seconds >= 0.5]
    LIST.write_text("".join(lines), encoding="utf-8")
    terminalreporter.write_line(f"{sum(_SECONDS.values()):.0f} s of processor time, written to {LIST.name}")

"""Shared set-up of all tests: discord.py is loaded before warnings become errors, and judged messages are counted.

`make test` runs the files on several processes (pytest-xdist). Each of them keeps a tally and hands it over at its end.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.patience import ACK_S, PATIENCE_S
from tests.tally import Tally

# One thread in each of the processes that share the cores: several wait for each other, and that costs processor time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Those that have two sleep while they wait; torch reads it when it is imported, before an engine process is forked.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

with warnings.catch_warnings():
    # On Python 3.11 discord.py imports the deprecated `audioop`.
    warnings.simplefilter("ignore", DeprecationWarning)
    import discord  # noqa: F401

from discord_sandbox import Sandbox

# jsonschema would build 38 grammars, of formats that no validator here looks at: over a second in each process.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
# A busy machine fails no test: neither what waits on the local Discord, nor examples that take their time.
Sandbox.ack_deadline_s, Sandbox.patience_s = ACK_S, PATIENCE_S
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


LIST = Path(__file__).with_name("processor_time.txt")
SLOW_S = 3.0
"""From this much processor time on, a file of tests is slow: `make test-fast` leaves it out."""
TALLY = pytest.StashKey[Tally]()


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Return an empty home folder: a `.env` of the checkout is no part of any test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TALLY] = Tally()


def pytest_collection() -> None:
    """Load the tests without the garbage collector, which would take a third of that time."""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow files as measured, and run the longest files first, so that no process waits for another."""
    lines = [line.split() for line in LIST.read_text(encoding="utf-8").splitlines()]
    seconds = {path: float(number) for number, path in lines}
    for item in items:
        if seconds.get(item.nodeid.split("::")[0], 0.0) >= SLOW_S or item.get_closest_marker("long"):
            item.add_marker("slow")
    items.sort(key=lambda item: -seconds.get(item.nodeid.split("::")[0], 0.0))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what is loaded by now: a look at all of torch takes longer than most tests."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Spare it as well what a file of tests leaves loaded: every test with a bot has all garbage collected."""
    yield
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()
        gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["tally"] = asdict(session.config.stash[TALLY])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Collect the tally of a finished process of pytest-xdist; one that died has sent nothing."""
    found = getattr(node, "workeroutput", {}).get("tally")
    if found is not None:
        node.config.stash[TALLY].add(Tally(**found))


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    return pytestconfig.stash[TALLY]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tally = config.stash[TALLY]
    if not tally.num_servers:
        return
    write = terminalreporter.write_line
    terminalreporter.section("Discord's judgement")
    for note in tally.notes:
        write(note)
    write(f"{tally.judged} messages judged, {len(tally.violations)} violations, in {tally.num_servers} scenarios")
    if not tally.judged:
        write("The sandbox's own rules were kept. Discord's own description is optional: CONTRIBUTING.md says how.")

"""The worker process: `python -m generation.workers.child`. Reads commands on stdin, writes events on stdout.

It holds no secrets and needs no network. It dies with its parent: when stdin ends, and on Linux by the kernel's
hand as well. Anything that goes wrong outside a single image ends the process; the supervisor starts another.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from io import RawIOBase
from pathlib import Path
from typing import Protocol

from generation import failpoints
from generation.errors import ConfigurationError
from generation.jobs.protocol import (
    Cancel,
    Close,
    Command,
    Event,
    Finished,
    GenerateCommand,
    ModelsReport,
    Ready,
    UpdateModels,
)
from generation.models.catalog import Model
from generation.requests.recipe import Fingerprint
from generation.workers.early_start import IMPORTS_FIRST
from generation.workers.engine_settings import EngineSettings
from generation.workers.environment import worker_environment
from generation.workers.frames import DEFAULT_ENGINE, SIGN_OF_LIFE, StartupFailed, decode_command, decode_config, encode
from generation.workers.pipes import Wire, claim_stdout, die_with_parent, open_stdin, read_frame
from generation.workers.sign_of_life import SignOfLife
from generation.workers.starting import reported_by

Send = Callable[[list[Event | ModelsReport]], None]
EXIT_UNFIT = 3
EXIT_NONSENSE = 4


class Engine(Protocol):
    """What the loop below drives: `generation.engine.engine.Engine`, or a light one in tests and benchmarks."""

    num_slots: int
    fingerprint: Fingerprint

    @property
    def model_sha256(self) -> Mapping[str, str]: ...
    @property
    def is_idle(self) -> bool: ...
    def admit(self, order: GenerateCommand) -> None: ...
    def step(self) -> list[Event]: ...
    def cancel(self, cancel: Cancel) -> list[Event]: ...
    def tune(self) -> bool: ...
    def rest(self) -> None: ...
    def update(self, models: tuple[Model, ...]) -> None: ...
    def report(self) -> ModelsReport: ...
    def close(self) -> None: ...


class Inbox:
    """Commands as a thread reads them. When stdin ends the parent is gone, and the process with it."""

    def __init__(self, source: RawIOBase, end: Callable[[int], object] = os._exit) -> None:
        """`end`: what ends the process, given its status."""
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._end = end
        threading.Thread(target=self._read, args=(source,), name="inbox", daemon=True).start()

    def take(self, *, wait: bool, patience_s: float | None = None) -> list[Command]:
        """Return every command there is; with `wait`, at least one, unless none comes for `patience_s`."""
        try:
            commands = [self._commands.get(timeout=patience_s)] if wait else []
        except queue.Empty:
            return []
        while not self._commands.empty():
            commands.append(self._commands.get())
        return commands

    def _read(self, source: RawIOBase) -> None:
        status = 0
        try:
            while (body := read_frame(source)) is not None:
                self._commands.put(decode_command(body))
        except ValueError:
            traceback.print_exc()
            status = EXIT_NONSENSE
        # The main thread may be deep in a forward pass, for minutes: its picture is no longer needed.
        self._end(status)


def serve(engine: Engine, inbox: Inbox, send: Send, *, idle_s: float = 0.0) -> None:
    """Run the engine until told to close: take commands between turns, and sleep when idle.

    Idle, it measures what is to be measured, a little between two looks at the commands. After `idle_s` without work
    (0: never) it gives its memory back, until the next command.
    """
    patience_s = idle_s or None
    reported: ModelsReport | None = None
    while True:
        reported = _report(engine, reported, send)
        is_tuning = engine.is_idle and engine.tune()
        commands = inbox.take(wait=engine.is_idle and not is_tuning, patience_s=patience_s)
        if is_tuning and not commands:
            continue
        if not commands and engine.is_idle:
            engine.rest()
            patience_s = None
            continue
        patience_s = idle_s or None
        for command in commands:
            if isinstance(command, Close):
                return
            if isinstance(command, GenerateCommand):
                engine.admit(command)
            elif isinstance(command, UpdateModels):
                engine.update(command.models)
            else:
                send([*engine.cancel(command)])
        reported = _report(engine, reported, send)  # before what the models then paint
        send([*engine.step()])


def _report(engine: Engine, reported: ModelsReport | None, send: Send) -> ModelsReport:
    """Send which models can be run and are in memory, if that has changed. Return it."""
    report = engine.report()
    if report != reported:
        send([report])
    return report


def main() -> int:
    gc.disable()  # until the engine is imported
    wire = Wire(claim_stdout())
    source = open_stdin()
    if IMPORTS_FIRST in sys.argv:
        with contextlib.suppress(Exception):  # said when it is built, to a parent that listens
            importlib.import_module(DEFAULT_ENGINE.partition(":")[0])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # Both may reach the whole group; the parent decides, and can kill.
    first = read_frame(source)
    if first is None:
        return 0
    config = decode_config(first)
    die_with_parent(config.parent_pid)
    _be_first_to_go()
    if hasattr(os, "nice"):
        os.nice(config.nice)
    allowed = worker_environment(os.environ)
    os.environ.clear()
    os.environ.update(allowed)
    failpoints.arm(config.failpoints)

    def send(events: list[Event | ModelsReport]) -> None:
        if events:
            frame = encode(events)
            if any(isinstance(event, Finished) for event in events):
                failpoints.reached("encoded")
            wire.write(frame)

    with SignOfLife(lambda: wire.write(SIGN_OF_LIFE), every_s=config.sign_s):
        try:
            with reported_by(lambda said: wire.write(encode(said))):
                engine = _build(config.engine, config.models, config.settings)
        except ConfigurationError as error:
            wire.write(encode(StartupFailed(str(error))))
            return EXIT_UNFIT
        sha256 = dict(engine.model_sha256)
        send([Ready(num_slots=engine.num_slots, fingerprint=engine.fingerprint, model_sha256=sha256)])
        serve(engine, Inbox(source), send, idle_s=config.settings.idle_s)
        engine.close()
    return 0


def _build(path: str, models: Iterable[Model], settings: EngineSettings) -> Engine:
    """Import the engine without the garbage collector, which takes a fifth of that time, and build it.

    What is imported stays, and no collection looks at it again. Models come later: they are collected.
    """
    module, _, name = path.partition(":")
    build: Callable[[Iterable[Model], EngineSettings], Engine] = getattr(importlib.import_module(module), name)
    gc.freeze()
    gc.enable()
    return build(models, settings)


def _be_first_to_go() -> None:
    """Make Linux end this process before the bot when memory runs out: its work is done again."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # to take torch apart object by object takes a second of processor time

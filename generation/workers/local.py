"""A worker in a process of its own on this machine: started, watched, and started again when it dies or hangs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType

import msgspec

from generation import failpoints
from generation.errors import ConfigurationError
from generation.jobs.protocol import (
    Cancel,
    Cancelled,
    Close,
    Command,
    Event,
    Finished,
    GenerateCommand,
    ImageFailed,
    LargestPx,
    LoadedModelInfo,
    ModelsReport,
    Ready,
    UpdateModels,
    WorkerLost,
)
from generation.models.catalog import Model, check_files
from generation.requests.recipe import Fingerprint
from generation.workers.child_process import EngineProcess, count_memory_kills, describe_exit, kill, spawn
from generation.workers.frames import (
    DEFAULT_ENGINE,
    HEADER,
    StartupFailed,
    WorkerConfig,
    decode_events,
    encode,
    read_frame_length,
)
from generation.workers.starting import StartWatch

log = logging.getLogger(__name__)
_SIGNS = 10
"""Signs of life in the time that counts as dead."""


class EngineStartError(ConfigurationError):
    """{why}"""


class LocalWorker:
    """The `Worker` of one machine. `hang_s`: silence while busy (or while starting: `start_s`) that counts as dead.

    A model that loads for longer is no silence: the process gives signs of life as long as that gets on.

    A process that dies is started again at once, then after pauses that double from `first_pause_s` up to
    `longest_pause_s`; a picture that gets finished resets them. One that says it cannot be built is not: another try
    would end the same way.
    """

    def __init__(
        self,
        config: WorkerConfig,
        *,
        hang_s: float = 300.0,
        start_s: float = 600.0,
        close_s: float = 5.0,
        first_pause_s: float = 0.5,
        longest_pause_s: float = 30.0,
        spawn: Callable[[], Awaitable[EngineProcess]] = spawn,
    ) -> None:
        self._config = config
        self._spawn = spawn
        self._hang_s = hang_s
        self._start_s = start_s
        self._close_s = close_s
        self._pauses = (first_pause_s, longest_pause_s)
        self._pause_s = 0.0
        self._events: asyncio.Queue[Event | EngineStartError | None] = asyncio.Queue()
        self._process: EngineProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._resident: dict[tuple[str, int], str] = {}
        """The model of each image at the engine."""
        self._ready: Ready | None = None
        self._report: ModelsReport | None = None
        self._closing, self._heard_at = asyncio.Event(), 0.0

    @property
    def num_slots(self) -> int:
        return self._ready.num_slots if self._ready else 0

    @property
    def fingerprint(self) -> Fingerprint | None:
        return self._ready.fingerprint if self._ready else None

    @property
    def model_sha256(self) -> Mapping[str, str]:
        found = self._report or self._ready
        return MappingProxyType(found.model_sha256 if found else {})

    @property
    def loaded_models(self) -> tuple[LoadedModelInfo, ...]:
        return self._report.loaded if self._report else ()

    @property
    def largest_px(self) -> Mapping[str, LargestPx]:
        return self._report.largest_px if self._report else {}

    @property
    def ready(self) -> Ready | None:  # what the engine that is up said of itself when it was
        return self._ready

    @property
    def pid(self) -> int | None:  # of the process that is up, for monitoring
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Begin supervising. Raise `ConfigurationError` if the default model may not be opened."""
        if self._config.engine == DEFAULT_ENGINE:
            for model in self._config.models[:1]:
                await asyncio.to_thread(check_files, model)
        self._supervisor = asyncio.create_task(self._supervise(), name="worker supervisor")

    async def admit(self, order: GenerateCommand) -> None:
        """Hand over one image. Raise `ConnectionError` while no engine is up; one that dies later reports
        `WorkerLost`."""
        if self._ready is None:
            raise ConnectionError("no engine is up")
        if not self._resident:
            self._heard_at = asyncio.get_running_loop().time()
        self._resident[order.image_id, order.attempt] = order.spec.model
        await self._send(order)

    async def cancel(self, cancel: Cancel) -> None:
        if self._ready is not None:
            await self._send(cancel)

    async def update(self, models: tuple[Model, ...]) -> None:
        """Offer these models, in the process that is up and in every later one."""
        self._config = msgspec.structs.replace(self._config, models=models)
        await self._send(UpdateModels(models=models))

    async def events(self) -> AsyncIterator[Event]:
        """Yield the worker's events. Raise `EngineStartError` if no engine can be built."""
        while (event := await self._events.get()) is not None:
            if isinstance(event, EngineStartError):
                raise event
            yield event

    async def close(self) -> None:
        """End the process and wait for it. An engine gets `close_s` to close; one not up yet gets none."""
        if self._closing.is_set():
            return
        self._closing.set()
        if self._supervisor is not None:
            if self._ready is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._close_s):  # a frozen process may not even take the word
                        await self._send(Close())
                        await asyncio.wait([self._supervisor])
            if self._process is not None:
                kill(self._process)
            # Not cancelled: it is what waits for the end of the process, and no wait of its is longer than the kill's.
            await asyncio.wait([self._supervisor])
        self._ready = self._report = None
        self._events.put_nowait(None)

    async def _supervise(self) -> None:
        while not self._closing.is_set():
            try:
                reason = await self._run_once()
            except EngineStartError as unfit:
                log.error("action=worker-unfit reason=%s", unfit)
                self._events.put_nowait(unfit)
                return
            except OSError as error:
                reason = f"its process could not be started ({error})"
            except Exception as error:  # without its supervisor, no process would ever be started again
                log.exception("action=worker-supervisor-stumbled")
                reason = f"the bot could not go on with it ({type(error).__name__})"
            if not self._closing.is_set():
                await self._recover(reason)

    async def _recover(self, reason: str) -> None:
        log.error("action=worker-lost pause_s=%g reason=%s", self._pause_s, reason)
        self._resident.clear()
        self._events.put_nowait(WorkerLost(reason=reason))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), self._pause_s)
        first, longest = self._pauses
        self._pause_s = min(longest, max(first, 2 * self._pause_s))

    async def _run_once(self) -> str:
        """Run the process once, from start to end; return why it ended."""
        memory_kills = count_memory_kills()
        process = await self._spawn()
        self._process = process
        if self._closing.is_set():
            kill(process)
        try:
            config = msgspec.structs.replace(
                self._config,
                parent_pid=os.getpid(),
                failpoints=failpoints.take_armed(),
                sign_s=min(self._hang_s, self._start_s) / _SIGNS,
            )
            await self._send(config)
            reason = await self._listen(process)
        finally:
            self._ready = self._report = None
            await self._reap(process)
        return reason or describe_exit(process.returncode, memory_kills=memory_kills)

    async def _listen(self, process: EngineProcess) -> str | None:
        """Pass on events until the process ends; return the reason, if the exit status does not give it."""
        assert process.stdout is not None
        self._heard_at = asyncio.get_running_loop().time()
        watchdog, starting = asyncio.create_task(self._watch(process), name="worker watchdog"), StartWatch()
        try:
            while True:
                header = await process.stdout.readexactly(HEADER.size)
                said = decode_events(await process.stdout.readexactly(read_frame_length(header)))
                if isinstance(said, StartupFailed):
                    raise EngineStartError(why=said.message)
                self._heard_at = asyncio.get_running_loop().time()
                for event in starting.watch(said):
                    self._hear(event)
        except asyncio.IncompleteReadError:
            return f"it was silent for {self._patience_s:g} s" if watchdog.done() else None
        except ValueError as error:
            return f"it spoke nonsense ({error})"
        finally:
            starting.end()
            watchdog.cancel()
            await asyncio.wait([watchdog])

    async def _watch(self, process: EngineProcess) -> None:
        """Kill the process when it is silent for too long while it should report."""
        loop = asyncio.get_running_loop()
        while True:
            is_owing = bool(self._resident) or self._ready is None
            left_s = self._heard_at + self._patience_s - loop.time() if is_owing else self._patience_s
            if left_s <= 0:
                kill(process)
                return
            await asyncio.sleep(min(left_s, self._hang_s))

    @property
    def _patience_s(self) -> float:
        return self._hang_s if self._ready else self._start_s

    def _hear(self, event: Event | ModelsReport) -> None:
        if isinstance(event, ModelsReport):
            self._report = event
            return
        if isinstance(event, Ready):
            self._ready = event
        elif isinstance(event, Finished | Cancelled | ImageFailed):
            model = self._resident.pop((event.image_id, event.attempt), "")
            self._pause_s = 0.0
            if isinstance(event, Finished):
                event = self._name_painter(event, model)
        self._events.put_nowait(event)

    def _name_painter(self, event: Finished, model: str) -> Finished:
        """Return the event with the fingerprint and the weights that painted it, where the engine left them out."""
        return msgspec.structs.replace(
            event,
            fingerprint=event.fingerprint or self.fingerprint,
            model_sha256=event.model_sha256 or self.model_sha256.get(model, ""),
        )

    async def _send(self, message: Command | WorkerConfig) -> None:
        """Write one frame. A process that is gone cannot take it: its supervisor will say so."""
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing():
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(encode(message))
            await process.stdin.drain()

    async def _reap(self, process: EngineProcess) -> None:
        """Wait for the end of a process that has stopped talking, and release its pipes."""
        try:
            async with asyncio.timeout(self._close_s):
                await process.wait()
        except TimeoutError:
            pass
        finally:
            kill(process)
        await process.wait()
        self._process = None
        if process.stdin is not None:
            process.stdin.close()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await process.stdin.wait_closed()

"""The bot's side of a fleet: supervises the Ray driver process and keeps the members in step with what it sees.

    machines join and leave -> driver -> `MembersSeen` -> Fleet -> the pool's `join`, `drain`, `leave`

A driver that dies is a loss of every member, and is started again; the engines outlive it. Nothing here imports Ray.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Protocol

import msgspec

from generation import metrics
from generation.fleet.address import FleetAddress
from generation.fleet.driver_process import explain, spawn_driver
from generation.fleet.messages import (
    BotMessage,
    Connected,
    DriverConfig,
    DriverFailed,
    DriverMessage,
    FromMember,
    MemberSeen,
    MembersSeen,
    OfferModels,
    decode_driver_message,
    encode_body,
)
from generation.fleet.remote_worker import RemoteWorker
from generation.jobs.protocol import UpdateModels
from generation.models.catalog import Model
from generation.workers.child_process import describe_exit, kill
from generation.workers.frames import HEADER, WorkerConfig, encode, read_frame_length

log = logging.getLogger(__name__)
_SIGNS = 4
"""So many signs of life a driver may miss."""


class Membership(Protocol):
    """The workers behind the queue, as a fleet changes them."""

    async def join(self, worker: RemoteWorker, device: str) -> None: ...
    async def leave(self, name: str, reason: str) -> None: ...
    def drain(self, name: str) -> None: ...


class Fleet:
    """See the module's text. `driver`: one that was spawned already. `connect_s`: how long one may take to reach Ray's
    head."""

    def __init__(
        self,
        address: FleetAddress,
        config: DriverConfig,
        worker: WorkerConfig,
        membership: Membership,
        *,
        driver: asyncio.subprocess.Process | None = None,
        connect_s: float = 60.0,
        first_pause_s: float = 0.5,
        longest_pause_s: float = 30.0,
    ) -> None:
        self._address = address
        self._worker = worker
        self._config = msgspec.structs.replace(config, worker=encode_body(worker))
        self._membership = membership
        self._driver = driver
        self._connect_s = connect_s
        self._pauses = (first_pause_s, longest_pause_s)
        self._pause_s = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._workers: dict[str, RemoteWorker] = {}
        self._devices: dict[str, str] = {}
        self._changes: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._stderr: deque[str] = deque(maxlen=5)
        self._heard_at = 0.0
        self._why_killed = ""
        self._connected = asyncio.Event()
        self.trouble: str | None = None
        """Why the driver has no fleet, while it has none."""
        self.refused: Mapping[str, str] = {}
        """Members that cannot be used, and why."""

    @property
    def pid(self) -> int | None:
        """Of the driver that is up, for monitoring."""
        return self._process.pid if self._process is not None else None

    def list_troubles(self) -> Iterator[str]:
        """Yield why the fleet is out of reach, and why members cannot be used, in sentences."""
        if self.trouble is not None:
            yield f"The fleet at {self._address.text} is out of reach: {self.trouble.rstrip('.')}."
        yield from (f"{name}: {why}" for name, why in self.refused.items())

    async def run(self) -> None:
        """Have a driver, until cancelled."""
        changing = asyncio.create_task(self._change(), name="fleet membership")
        try:
            while True:
                try:
                    reason = await self._run_once()
                except (OSError, ValueError) as error:
                    reason = f"its driver could not be used ({error})"
                self._lose_all(reason)
                await asyncio.sleep(self._pause_s)
                first, longest = self._pauses
                self._pause_s = min(longest, max(first, 2 * self._pause_s))
        finally:
            changing.cancel()
            await asyncio.wait([changing])

    async def close(self) -> None:
        """Let the driver go: it takes leave of its members, whose engines stay warm. `run` has to be over."""
        process, self._process = self._process, None
        if process is not None:
            await _end(process, within_s=self._config.wait_s)

    async def offer(self, models: tuple[Model, ...]) -> None:
        """Offer these models at every member, also at those to come."""
        if models == self._worker.models:
            return
        self._worker = msgspec.structs.replace(self._worker, models=models)
        self._config = msgspec.structs.replace(self._config, worker=encode_body(self._worker))
        update = encode_body(UpdateModels(models=models))
        await self._send(OfferModels(worker=self._config.worker, update=update))

    async def _run_once(self) -> str:
        """Run a driver from start to end; return why it ended."""
        self._connected.clear()
        self._stderr.clear()
        self._why_killed = ""
        self._process = process = self._driver or await spawn_driver(self._address)
        self._driver = None
        watching = [
            asyncio.create_task(self._read_errors(process), name="driver's errors"),
            asyncio.create_task(self._watch(process), name="driver's connection"),
        ]
        try:
            await self._send(self._config)
            said = await self._listen(process)
        except asyncio.CancelledError:
            await self.close()
            raise
        finally:
            for task in watching:
                task.cancel()
            await asyncio.wait(watching)
        await _end(process, within_s=self._config.wait_s)
        self._process = None
        return said or explain(self._stderr, self._address) or self._why_killed or describe_exit(process.returncode)

    async def _listen(self, process: asyncio.subprocess.Process) -> str:
        """Take in what the driver says until it ends; return its reason, if it gave one."""
        assert process.stdout is not None
        while True:
            try:
                header = await process.stdout.readexactly(HEADER.size)
                said = decode_driver_message(await process.stdout.readexactly(read_frame_length(header)))
            except asyncio.IncompleteReadError:
                return ""
            if isinstance(said, DriverFailed):
                return explain(self._stderr, self._address) or said.message
            self._hear(said)

    def _hear(self, said: DriverMessage) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        match said:
            case Connected():
                self._note_connected()
            case MembersSeen():
                self._see(said)
            case FromMember():
                self._hear_member(said)

    def _note_connected(self) -> None:
        if not self._connected.is_set():
            self._connected.set()
            self._pause_s, self.trouble = 0.0, None
            metrics.note_fleet(is_connected=True)
            log.info("action=fleet-connected address=%s", self._address.text)

    def _see(self, said: MembersSeen) -> None:
        """Have the members that there are."""
        for name, why in said.refused.items():
            if self.refused.get(name) != why:
                log.error("member=%s action=refused reason=%s", name, why)
        self.refused = said.refused
        seen = {each.name: each for each in said.members}
        for name, worker in list(self._workers.items()):
            if name not in seen or seen[name].actor != worker.actor:
                worker.lose("its machine left the fleet")
                del self._workers[name]
                self._plan_leave(name, "its machine left the fleet")
        for name, each in seen.items():
            if name not in self._workers:
                self._add(each)

    def _add(self, seen: MemberSeen) -> None:
        worker = RemoteWorker(seen.name, seen.actor, send=self._send, offer=self.offer)
        self._workers[seen.name] = worker
        self._devices[seen.name] = seen.device
        self._plan(lambda: self._membership.join(worker, seen.device))

    def _hear_member(self, said: FromMember) -> None:
        worker = self._workers.get(said.member)
        if worker is None or worker.actor != said.actor:
            return
        if worker.is_over and said.state is not None and not said.state.is_draining:
            # It left, as unfit or drained, and is heard of again: it joins as another.
            self._plan_leave(said.member, "it begins again")
            self._add(MemberSeen(name=worker.name, actor=worker.actor, device=self._devices[worker.name]))
            worker = self._workers[said.member]
        worker.hear(said)
        if worker.is_draining and not worker.is_over:
            self._membership.drain(worker.name)
            if worker.is_idle:
                self._plan_leave(said.member, "it is drained")

    def _lose_all(self, reason: str) -> None:
        if reason != self.trouble:
            log.error("action=fleet-lost pause_s=%g reason=%s", self._pause_s, reason)
        self.trouble = reason
        metrics.FLEET_LOSSES.inc()
        metrics.note_fleet(is_connected=False)
        for worker in self._workers.values():
            worker.lose(reason)

    def _plan_leave(self, name: str, reason: str) -> None:
        self._plan(lambda: self._membership.leave(name, reason))

    def _plan(self, change: Callable[[], Awaitable[None]]) -> None:
        """Have the pool change, in the order of what was seen."""
        self._changes.put_nowait(change)

    async def _change(self) -> None:
        while True:
            change = await self._changes.get()
            try:
                await change()
            except Exception:  # one member that cannot join must not keep others out
                log.exception("action=membership-failed")

    async def _send(self, message: BotMessage | DriverConfig) -> None:
        """Write one frame. A driver that is gone cannot take it: the members are lost, and that is said."""
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing():
            return
        # Not drained: a driver that hangs must not make those wait who paint on this machine. Slots bound what is kept.
        process.stdin.write(encode(message))

    async def _read_errors(self, process: asyncio.subprocess.Process) -> None:
        """Keep the last lines on stderr. End a driver whose token is wrong: Ray itself tries for 20 s."""
        assert process.stderr is not None
        with contextlib.suppress(ValueError):  # a line without end
            while line := await process.stderr.readline():
                self._stderr.append(line.decode(errors="replace").strip())
                if not self._connected.is_set() and explain(self._stderr, self._address):
                    kill(process)
                    return  # many lines may follow, and this one counts

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """End a driver that does not reach Ray's head, and one that hangs later."""
        loop, silent_s = asyncio.get_running_loop(), _SIGNS * self._config.look_s
        try:
            await asyncio.wait_for(self._connected.wait(), self._connect_s)
            while (left_s := self._heard_at + silent_s - loop.time()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(left_s)
            self._why_killed = f"its driver was silent for {silent_s:g} s"
        except TimeoutError:
            self._stderr.append(f"nothing answers there for {self._connect_s:g} s")
        kill(process)


async def _end(process: asyncio.subprocess.Process, *, within_s: float) -> None:
    """Close a driver's stdin and wait for its end; kill it if that takes too long.

    Not at once: to kill a process that has just ended takes its exit status from asyncio, which has 255 for it then.
    """
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await process.wait()
    kill(process)
    await process.wait()

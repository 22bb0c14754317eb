"""One card of a fleet, on its own machine: today's `LocalWorker`, and the bot that attached last.

`ray_actor.py` makes a Ray actor of it; there is no Ray here. The engine outlives the bot: the next one finds it warm.

The *epoch* is the fence. A bot that opens its database raises the number in it, so that two bots cannot both be the
newest; a member listens to the highest it has heard of and refuses every call of an earlier one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping

import msgspec

from generation.errors import ConfigurationError
from generation.fleet.mailbox import Mailbox
from generation.fleet.member_models import OwnFolders, Resolved
from generation.fleet.messages import (
    Attached,
    MemberFacts,
    MemberState,
    Polled,
    Refused,
    Version,
    encode_body,
)
from generation.fleet.version import describe_difference, find_version, list_libraries
from generation.jobs.protocol import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    GenerateCommand,
    ImageFailed,
    ModelsReport,
    Progress,
    Ready,
    UpdateModels,
    WorkerLost,
)
from generation.models.catalog import Model
from generation.workers.frames import DEFAULT_ENGINE, StartupFailed, WorkerConfig, decode_command, decode_config
from generation.workers.local import LocalWorker

log = logging.getLogger(__name__)
_END = (Finished, Cancelled, ImageFailed)


class MemberHost:
    """`environment` names this machine's folders: ATELIER_MODELS_DIR and ATELIER_DATA_DIR. Without a poll for
    `orphan_s` seconds, what is painted is cancelled."""

    def __init__(self, *, machine: str, device: str = "", environment: Mapping[str, str], orphan_s: float) -> None:
        self._machine, self._device = machine, device
        self._folders = OwnFolders.named_by(environment)
        self._orphan_s = orphan_s
        self._epoch = -1
        self._config: WorkerConfig | None = None
        self._wanted: tuple[Model, ...] = ()
        self._resolved = Resolved(())
        self._register_stamp = 0
        self._worker: LocalWorker | None = None
        self._pumping: asyncio.Task[None] | None = None
        self._mailbox = Mailbox()
        self._resident: set[tuple[str, int]] = set()
        self._state: MemberState | None = None
        self._heard_at = time.monotonic()
        self._lock = asyncio.Lock()
        """One at a time changes which engine is up and what it offers."""
        self._trouble = ""
        self.is_draining = False

    @property
    def silent_s(self) -> float:
        """Seconds since a bot polled."""
        return time.monotonic() - self._heard_at

    async def attach(self, epoch: int, program: str, code: str, config: bytes) -> bytes:
        """Listen to a bot; what an earlier one had here is dropped, for it will be ordered again.

        Return `Attached`, or `Refused`. Raise `PermissionError` if a newer bot has this member.
        """
        self._require_newest(epoch)
        if reason := describe_difference(self._machine, find_version(), Version(program, code)):
            return encode_body(Refused(reason, is_outdated=True))
        if self.is_draining:
            return encode_body(Refused(f"{self._machine} is drained, until `fleet drain --undo` or its next join."))
        self._epoch, self._heard_at = epoch, time.monotonic()
        async with self._lock:
            await self._take_over(decode_config(config))
        self._mailbox.clear()
        ready = self._worker.ready if self._worker is not None else None
        self._state = self.build_state()
        answer = Attached(
            after=self._mailbox.last,
            num_losses=self._mailbox.num_losses,
            facts=self.build_facts(),
            body=encode_body([ready] if ready is not None else []),
            state=self._state,
        )
        return encode_body(answer)

    async def command(self, epoch: int, num_losses: int, body: bytes) -> None:
        """Take one command. One that was given before its bot heard of the newest loss is dropped."""
        self._require_epoch(epoch)
        command = decode_command(body)
        if isinstance(command, UpdateModels):
            async with self._lock:
                self._wanted = command.models
                await self._offer()
        elif self._worker is None or num_losses != self._mailbox.num_losses:
            return
        elif isinstance(command, GenerateCommand):
            self._resident.add((command.image_id, command.attempt))
            with contextlib.suppress(ConnectionError):  # its `WorkerLost` is on the way
                await self._worker.admit(command)
        elif isinstance(command, Cancel):
            await self._worker.cancel(command)

    async def poll(self, epoch: int, after: int, wait_s: float) -> bytes:
        """Return `Polled`: the events after number `after`, which the caller had; at once or within `wait_s`."""
        self._require_epoch(epoch)
        self._heard_at = time.monotonic()
        events = await self._mailbox.poll(after, wait_s)
        self._require_epoch(epoch)  # another bot may have come meanwhile
        state = self.build_state()
        changed = state if state != self._state else None
        self._state = state
        return encode_body(
            Polled(
                last=events[-1].number if events else after,
                num_losses=events[-1].num_losses if events else self._mailbox.num_losses,
                body=encode_body([each.said for each in events]),
                now_s=time.monotonic(),
                state=changed,
            )
        )

    async def release(self, epoch: int) -> None:
        """Let go: where the machine is drained the engine ends, else it stays warm for the next bot."""
        self._require_epoch(epoch)
        if self.is_draining:
            await self.close()
        else:
            await self._cancel_all()

    async def describe(self) -> bytes:
        """Return `MemberFacts`, for any bot that asks."""
        return encode_body(self.build_facts())

    async def drain(self, is_draining: bool) -> None:
        """Take nothing new, or go on. What is painted ends first: its bot is told, and lets go."""
        self.is_draining = is_draining
        self._mailbox.wake()

    async def close(self) -> None:
        """End the engine and free its memory."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()
        if self._pumping is not None:
            await asyncio.wait([self._pumping])
        self._resident.clear()

    async def look_after(self) -> None:
        """Do what is due from time to time: end the work of a bot that is gone, and see models that were added."""
        if self._resident and self.silent_s > self._orphan_s:
            log.warning("action=orphaned silent_s=%.0f images=%s", self.silent_s, len(self._resident))
            await self._cancel_all()
        if self.is_draining and self.silent_s > self._orphan_s:
            await self.close()
        if self._resolved.missing and self._folders.read_stamp() != self._register_stamp:
            async with self._lock:
                await self._offer()

    def build_facts(self) -> MemberFacts:
        worker = self._worker
        fingerprint = worker.fingerprint if worker is not None else None
        painted_by = fingerprint.facts if fingerprint is not None else {}
        return MemberFacts(
            machine=self._machine,
            device=": ".join(filter(None, (self._device, painted_by.get("gpu")))),
            version=find_version(),
            libraries=list_libraries(),
            fingerprint=fingerprint.digest if fingerprint is not None else "",
            painted_by=painted_by,
            num_slots=worker.num_slots if worker is not None else 0,
            models=dict(worker.model_sha256) if worker is not None else {},
            missing=dict(self._resolved.missing),
            clock_s=time.time(),
            is_draining=self.is_draining,
            trouble=self._trouble,
        )

    async def _take_over(self, config: WorkerConfig) -> None:
        """Have an engine of that configuration: the one that is up, without its images, or another."""
        settled = msgspec.structs.replace(config, models=())
        if self._worker is not None and settled != self._config:
            await self.close()
        self._config, self._wanted = settled, config.models
        if self._worker is not None:
            await self._cancel_all()
        await self._offer()

    async def _offer(self) -> None:
        """Offer what this machine has of the models, in the engine that is up or a first one."""
        assert self._config is not None
        self._register_stamp = self._folders.read_stamp()
        is_real = self._config.engine == DEFAULT_ENGINE
        find = self._folders.find_models if is_real else Resolved
        self._resolved = await asyncio.to_thread(find, self._wanted)
        if self._worker is not None:
            await self._worker.update(self._resolved.models)
        elif self._resolved.models or not self._wanted:
            await self._start()
        self._mailbox.wake()

    async def _start(self) -> None:
        """Start the engine. The card is the one Ray gave this process; what was measured is this machine's."""
        assert self._config is not None
        settings = self._folders.fit(self._config.settings)
        config = msgspec.structs.replace(self._config, models=self._resolved.models, settings=settings)
        self._worker = worker = LocalWorker(config)
        try:
            await worker.start()
        except ConfigurationError as unfit:
            self._fail(unfit)
            return
        self._pumping = asyncio.create_task(self._pump(worker), name="pump")

    async def _pump(self, worker: LocalWorker) -> None:
        """Put what the engine reports into the mailbox."""
        try:
            async for event in worker.events():
                self._note(event)
                if isinstance(event, Progress):  # told in batches; by this machine's clock, until it is at the bot's
                    event = msgspec.structs.replace(event, at_s=time.monotonic())
                self._mailbox.put(event)
        except ConfigurationError as unfit:
            self._fail(unfit)

    def _note(self, event: Event) -> None:
        if isinstance(event, _END):
            self._resident.discard((event.image_id, event.attempt))
        elif isinstance(event, WorkerLost):
            self._resident.clear()
            self._trouble = event.reason
        elif isinstance(event, Ready):
            self._trouble = ""

    def _fail(self, unfit: ConfigurationError) -> None:
        self._worker = None
        self._trouble = str(unfit)
        self._mailbox.put(StartupFailed(str(unfit)))

    async def _cancel_all(self) -> None:
        for image_id, attempt in list(self._resident):
            if self._worker is not None:
                await self._worker.cancel(Cancel(image_id=image_id, attempt=attempt))
        self._resident.clear()

    def build_state(self) -> MemberState:
        worker = self._worker
        report = ModelsReport(
            model_sha256=dict(worker.model_sha256) if worker is not None else {},
            loaded=worker.loaded_models if worker is not None else (),
            largest_px=dict(worker.largest_px) if worker is not None else {},
        )
        return MemberState(
            report=report,
            missing=dict(self._resolved.missing),
            pid=worker.pid if worker is not None else None,
            is_draining=self.is_draining,
        )

    def _require_newest(self, epoch: int) -> None:
        if epoch < self._epoch:
            raise PermissionError(f"epoch {epoch} is over: a bot of epoch {self._epoch} has this member")

    def _require_epoch(self, epoch: int) -> None:
        self._require_newest(epoch)
        if epoch > self._epoch:  # this process is younger than the bot's hold of it
            raise ConnectionError("its process began again")

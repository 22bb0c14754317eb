"""Interfaces that the service needs, declared here and provided by `db`, `workers` and `cogs`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Protocol

from generation.jobs.job import Image, Job, Outcome, ReplyTo, Source
from generation.jobs.protocol import Cancel, Event, GenerateCommand, LargestPx, LoadedModelInfo
from generation.models.catalog import Model
from generation.owner import Owner
from generation.requests.recipe import Fingerprint
from generation.requests.spec import ImageSpec

"""Now, as an aware UTC time."""


class Worker(Protocol):
    """Where an engine runs. Events come in order; after `WorkerLost` nothing comes of images admitted before it.

    A `Finished` names the fingerprint and the weights that painted it: another engine may be up when it is heard.
    """

    @property
    def num_slots(self) -> int:
        """Images that may be resident at once; 0 while no engine is up."""

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Of the engine that is up, None while none is."""

    @property
    def model_sha256(self) -> Mapping[str, str]:
        """SHA-256 of the weights by model name, as the engine that is up has read them."""

    @property
    def loaded_models(self) -> tuple[LoadedModelInfo, ...]:
        """What is in the memory of the engine that is up."""

    @property
    def largest_px(self) -> Mapping[str, LargestPx]:
        """How large a picture of each model is at most there; empty where that is not known."""

    async def update(self, models: tuple[Model, ...]) -> None:
        """Offer these models from now on. Images in the making keep theirs; a later order for another fails."""

    async def start(self) -> None:
        """Start the engine in the background; `Ready` follows. Raise `ConfigurationError` if it cannot start."""

    async def admit(self, order: GenerateCommand) -> None:
        """Hand over one image. Returns when the order is on its way; its outcome comes as events.

        Raise `ConnectionError` if no engine is up to take it.
        """

    async def cancel(self, cancel: Cancel) -> None:
        """Ask for an image to stop. It may still finish if it was nearly done."""

    def events(self) -> AsyncIterator[Event]:
        """Yield the engine's events. One reader; ends after `close`. Raise `ConfigurationError` if none can ever be
        up."""

    async def close(self) -> None:
        """Stop the engine and free its memory. Safe to call twice."""


class JobStore(Protocol):
    """The store of jobs. Every write is one durable transaction, done when the call returns."""

    async def accept(
        self,
        job: Job,
        reply_to: ReplyTo | None = None,
        *,
        role_ids: Collection[int] = (),
        attached: Collection[str] = (),
    ) -> None:
        """Check quotas, reserve their cost, and write the job, its images and where its answer goes: all or nothing.

        `attached`: the files (SHA-256) that the owner attached to start from.

        Raise `QuotaExceededError`, or `NotAcceptedError` when storage fails (full, locked, read-only).
        """

    async def claim(self, image_id: str) -> int | None:
        """Mark a waiting image as RUNNING and count an attempt; return its number, or None if it no longer waits."""

    async def release(self, image_id: str, attempt: int) -> bool:
        """Return a running image to WAITING (its worker was lost). False if this attempt is not the current one."""

    async def settle(self, image_id: str, attempt: int, outcome: Outcome) -> bool:
        """Write the end of an image: status, recipe and ledger at once. Return False for a stale attempt.

        A stale attempt writes nothing. An image that still waits is settled with the attempt it has (0 if it was never
        claimed). When the last image of a job ends, its delivery becomes due in the same transaction.
        """

    async def fetch_job(self, job_id: str) -> Job:
        """Return the job. Raise `UnknownJobError` if there is none of that id."""

    async def fetch_painted(self, sha256: str) -> Image | None:
        """Return a finished image, with its recipe, whose file has that SHA-256; None if none was made here."""

    async def fetch_sources(self, files: Collection[str], owner: Owner) -> Mapping[str, Source]:
        """Return what the owner may do with these files (SHA-256); files without any reference are left out."""

    async def keeps(self, spec: ImageSpec, trace: str, pixels_sha256: str, owner: Owner) -> bool:
        """Return whether the owner's server has a picture made so, from files, that is not deleted.

        One that starts from an upload has to be its uploader's.
        """

    async def fetch_unfinished(self) -> list[Job]:
        """Return every job with an image that has not ended, oldest first; RUNNING images become WAITING."""

    async def fetch_counters(self) -> dict[int, float]:
        """Return the fair queue's counters by guild, as last saved."""

    async def save_counters(self, counters: Mapping[int, float]) -> None: ...

"""Builds the commands that make images, with the files that they start from."""

from __future__ import annotations

import asyncio

from generation.images.region import draw_mask
from generation.images.store import ImageFiles
from generation.jobs.protocol import GenerateCommand, Share
from generation.requests.spec import ImageSpec
from generation.safety.minor_safety import protection
from generation.safety.visibility import SafetyLevel
from generation.scheduling.active_jobs import ActiveImage, ActiveJobs
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting

PREVIEWS_PER_IMAGE = 2


class FileMissingError(Exception):
    """A file that an image starts from is not on disk; the text is its SHA-256."""


class CommandBuilder:
    """Builds commands. `check_safety`: whether the worker runs the safety checker."""

    def __init__(self, *, files: ImageFiles, queue: FairQueue, jobs: ActiveJobs, check_safety: bool) -> None:
        self._files, self._queue, self._jobs = files, queue, jobs
        self._check_safety = check_safety

    async def build(self, live: ActiveImage, waiting: Waiting) -> GenerateCommand:
        """Return the command that makes an image. Raise `FileMissingError` if a start file is missing."""
        spec, job = live.image.spec, self._jobs.of_image(live.image.id).job
        weight, counter = self._queue.share_of(waiting.guild_id)
        start = spec.start.sha256 if spec.start else spec.upscale.sha256 if spec.upscale else None
        return GenerateCommand(
            image_id=waiting.image_id,
            attempt=live.image.attempt,
            spec=spec,
            share=Share(waiting.guild_id, weight, counter, waiting.user_id, waiting.boost),
            check_safety=self._check_safety,
            shows_flagged=job.handling.level is not SafetyLevel.BLOCK,
            strictness=job.handling.strictness,
            says_young=protection().says_young(spec.said),
            keeps_for_review=job.handling.review_hours > 0,
            num_previews=PREVIEWS_PER_IMAGE if job.request.count == 1 else 0,
            start_png=await self._file(start),
            mask_png=await self._read_mask(spec),
            control_pngs=tuple([await self._read(each.sha256) for each in spec.controls]),
            reference_pngs=tuple([await self._read(each.sha256) for each in spec.references]),
            image_prompt_png=await self._file(spec.image_prompt.sha256 if spec.image_prompt else None),
            replay=live.trace,
        )

    async def _read_mask(self, spec: ImageSpec) -> bytes | None:
        if spec.start is not None and spec.start.cells:
            return await asyncio.to_thread(draw_mask, spec.start.cells, (spec.width_px, spec.height_px))
        return await self._file(spec.start.mask_sha256 if spec.start else None)

    async def _file(self, sha256: str | None) -> bytes | None:
        return None if sha256 is None else await self._read(sha256)

    async def _read(self, sha256: str) -> bytes:
        data = await asyncio.to_thread(self._files.get, sha256)
        if data is None:
            raise FileMissingError(sha256)
        return data

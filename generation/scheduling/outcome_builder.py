"""Turns the worker's last event of an image into its outcome: signs the picture and writes it to disk."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

from generation.errors import StartWithheldError, WithheldError
from generation.failpoints import reached
from generation.images.codec import pixels_sha256
from generation.images.metadata import sign_png
from generation.images.store import ImageFiles
from generation.jobs.job import Outcome, Status
from generation.jobs.protocol import Cancelled, Finished, ImageFailed
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import ImageSpec
from generation.retry import retry_write
from generation.safety.visibility import SafetyScores
from generation.scheduling.active_jobs import ActiveImage, ActiveJobs

log = logging.getLogger(__name__)


class OutcomeBuilder:
    """Builds outcomes. `lookup_hashes`: the hashes of the files that a spec is made with, for other tools."""

    def __init__(
        self,
        *,
        files: ImageFiles,
        jobs: ActiveJobs,
        lookup_hashes: Callable[[ImageSpec], dict[str, str]],
    ) -> None:
        self._files, self._jobs = files, jobs
        self._lookup_hashes = lookup_hashes

    async def build(self, live: ActiveImage, event: Finished | Cancelled | ImageFailed) -> Outcome:
        """Return how an image ended. The pictures of the outcome are on disk when this returns."""
        match event:
            case Finished(withheld=True):
                return await self._withheld(event)
            case Finished():
                return await self._keep(live, event)
            case Cancelled():
                return Outcome(status=Status.CANCELLED, charged=live.charge_for(event.evaluations))
            case ImageFailed():
                log.error("image=%s error=%s action=broken: %s", event.image_id, event.error, event.message)
                return Outcome(status=Status.FAILED, charged=0, error=event.error)

    async def _keep(self, live: ActiveImage, event: Finished) -> Outcome:
        """Sign the picture and write it to disk; wait while the disk is full."""
        replay = self._jobs.of_image(live.image.id).job.request.replay
        original = None if replay is None else replay.original
        recipe, png = await asyncio.to_thread(self._sign, event, self._build_recipe(live.image.spec, event), original)
        reached("signed")
        file_sha256 = await retry_write(lambda: asyncio.to_thread(self._files.put, png))
        reached("file_renamed")
        is_in_vain = replay is not None and replay.is_unseen and file_sha256 != replay.original
        return Outcome(
            status=Status.DONE,
            charged=0 if is_in_vain else live.image.reserved,
            recipe=recipe,
            file_sha256=file_sha256,
            judgement=_build_judgement(event),
        )

    def _sign(self, event: Finished, recipe: Recipe, original: str | None) -> tuple[Recipe, bytes]:
        """Return the recipe and the file. A replay of an earlier version's picture is written as that version did."""
        named, size_px = (
            replace(recipe, lookup_hashes=self._lookup_hashes(recipe.spec)),
            (event.width_px, event.height_px),
        )
        png = sign_png(event.pixels, size_px, named)
        if original is not None and sha256(png).hexdigest() != original:
            earlier = sign_png(event.pixels, size_px, recipe)
            if sha256(earlier).hexdigest() == original:
                return recipe, earlier
        return named, png

    async def _withheld(self, event: Finished) -> Outcome:
        """Withhold and refund the picture; keep what moderators may see, if their guild wants that."""
        blurred = event.review_jpeg
        review = await retry_write(lambda: asyncio.to_thread(self._files.put, blurred)) if blurred else None
        return Outcome(
            status=Status.WITHHELD,
            charged=0,
            error=(StartWithheldError if event.is_start_flagged else WithheldError).code,
            judgement=_build_judgement(event),
            review_sha256=review,
        )

    def _build_recipe(self, spec: ImageSpec, event: Finished) -> Recipe:
        return Recipe(
            spec=spec,
            model_sha256=event.model_sha256,
            trace=event.trace,
            fingerprint=(event.fingerprint or Fingerprint({})).with_storage(event.storage),
            pixels_sha256=pixels_sha256(event.pixels),
            parents=spec.made_from,
            dropped=event.dropped,
        )


def _build_judgement(event: Finished) -> SafetyScores | None:
    if not event.safety_scores and not event.flagged:
        return None
    finite = {name: score for name, score in event.safety_scores.items() if math.isfinite(score)}  # JSON has no NaN
    return SafetyScores(is_flagged=event.flagged or finite.keys() != event.safety_scores.keys(), margins=finite)

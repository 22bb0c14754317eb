"""Restores a missing start file: it is painted again from its recipe, to the same bytes.

Only what was painted here can be restored so; an attached picture cannot. The user who needs the file pays for
painting it, as for any picture, and it waits in line as any picture does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from generation.errors import AtelierError
from generation.images.store import ImageFiles
from generation.jobs.job import Job
from generation.jobs.ports import JobStore
from generation.owner import Owner
from generation.requests.spec import GenerationRequest

log = logging.getLogger(__name__)
Paint = Callable[[GenerationRequest, Owner], Awaitable[Job]]


class SourceRestorer:
    """Brings files back. `paint` sees a request through to its end; it may itself need files that are gone."""

    def __init__(self, *, store: JobStore, files: ImageFiles, paint: Paint) -> None:
        self._store = store
        self._files = files
        self._paint = paint
        self._going: dict[str, asyncio.Task[bool]] = {}

    async def restore(self, sha256: str, owner: Owner) -> bool:
        """Restore a file; return whether it is on disk. Callers that need the same file share one task."""
        if sha256 not in self._going:
            task = self._going[sha256] = asyncio.create_task(self._restore(sha256, owner), name=f"restore {sha256[:8]}")
            task.add_done_callback(lambda _: self._going.pop(sha256, None))
        return await asyncio.shield(self._going[sha256])

    def close(self) -> None:
        """Cancel what is under way: after a restart it is requested again."""
        for task in self._going.values():
            task.cancel()

    async def _restore(self, sha256: str, owner: Owner) -> bool:
        image = await self._store.fetch_painted(sha256)
        if image is None or image.recipe is None:
            log.warning("file=%s action=not-restorable", sha256[:12])
            return False
        recipe = image.recipe
        again = recipe.build_replay(original=sha256, is_unseen=True)
        try:
            await self._paint(GenerationRequest(spec=recipe.spec, replay=again), owner)
        except AtelierError as refused:
            log.warning("file=%s action=not-restored error=%s", sha256[:12], refused.code)
        is_there = await asyncio.to_thread(self._files.get, sha256) is not None
        log.info("file=%s image=%s action=restored same=%s", sha256[:12], image.id, is_there)
        return is_there

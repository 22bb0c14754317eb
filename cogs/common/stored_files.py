"""Image files on disk, removed off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from cogs.services import Services


async def remove_files(services: Services, gone: Iterable[str]) -> None:
    """Remove files by their SHA-256 that no row names any more."""
    for sha256 in gone:
        await asyncio.to_thread(services.studio.files.remove, sha256)

"""Takes up what `models add`, `set` and `remove` change while the bot runs, without a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.models.registry import REGISTER, ModelRegistry
from generation.retry import Problems, Task, run_periodically
from generation.scheduling.service import GenerationService
from generation.translatable import Phrase

log = logging.getLogger(__name__)
EVERY_S, LONGEST_PAUSE_S = 2.0, 60.0
_SUBJECT = "models-file"
_UNREADABLE = Phrase("The models folder has changed and cannot be used as it is. The models are those before it.")
_PROBLEM = Phrase("The models folder cannot be looked at. The bot tries again. The log says why.")

Stamp = tuple[object, ...]


class CatalogWatch:
    """Notices that the register of models, or a file it names, is another. Blocking: call it in a thread."""

    def __init__(self, open_catalog: Callable[[], Catalog], *, models_dir: Path) -> None:
        self._open_catalog, self._models_dir = open_catalog, models_dir
        self._stamp: Stamp = ()

    def open(self) -> Catalog:
        """Return the catalogue as it is now, and remember what it was read from. Raise `ConfigurationError`."""
        self._stamp = self._take_stamp()  # before it is read: a change meanwhile is noticed at the next look
        return self._read()

    def poll(self) -> Catalog | None:
        """Return the catalogue if something is another since the last look. Raise `ConfigurationError`, once for each
        change."""
        stamp = self._take_stamp()
        if stamp == self._stamp:
            return None
        try:
            catalog = self._read()
        except ConfigurationError:
            self._stamp = stamp
            raise
        self._stamp = stamp
        return catalog

    def _read(self) -> Catalog:
        catalog = self._open_catalog()
        for name, reason in catalog.left_out.items():
            log.warning("model=%s action=left-out reason=%s", name, reason)
        return catalog

    def _take_stamp(self) -> Stamp:
        return tuple(_stamp_file(path) for path in self._list_files())

    def _list_files(self) -> Iterator[Path]:
        yield self._models_dir / REGISTER
        try:
            register = ModelRegistry.read(self._models_dir)
        except ConfigurationError:
            return
        yield from (entry.place(self._models_dir) for entry in register.entries)


async def follow_models(
    generation: GenerationService, watch: CatalogWatch, problems: Problems, *, every_s: float = EVERY_S
) -> NoReturn:
    """Let the service offer what the models folder holds, until cancelled.

    Where it cannot be read, the models stay what they were, and the operator is told.
    """

    async def look() -> None:
        try:
            catalog = await asyncio.to_thread(watch.poll)
        except ConfigurationError as error:
            log.warning("action=models-unreadable reason=%s", error)
            problems.set(_SUBJECT, _UNREADABLE)
            return
        if catalog is not None:
            await generation.use_catalog(catalog)
            problems.clear(_SUBJECT)
            log.info("action=models-updated models=%s", ", ".join(model.name for model in catalog.models))

    await run_periodically(every_s, Task("models", _PROBLEM, every_s, LONGEST_PAUSE_S), look, problems)


def _stamp_file(path: Path) -> object:
    try:
        found = path.stat()
        return path, found.st_ino, found.st_size, found.st_mtime_ns
    except (OSError, ValueError):
        return path, None

"""What the gallery shows: pages of cards, one picture, and many as a ZIP."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from async_lru import alru_cache
from PIL import Image as PillowImage

from api.context import ApiContext
from api.errors import BeforeError, PictureGoneError
from api.keys import Caller
from api.pictures import Picture, read_picture
from api.web.access import Access
from generation.errors import AtelierError
from generation.jobs.history import HistoryFilter
from generation.jobs.job import Image, Job, Status

JOBS_A_PAGE = 24
MAX_DOWNLOADED = 200
SMALL_PX = 384
_SMALL_KEPT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a member wants to see: own pictures or favourites of a server, or its showcase."""

    server: int
    kind: str = "mine"
    """mine, favourites or showcase."""
    words: str = ""
    before: str = ""

    def build_query(self, **changes: object) -> str:
        """Return the query of this look with changes; what is empty is left out."""
        values = {"server": self.server, "kind": self.kind, "words": self.words, "before": self.before, **changes}
        return urlencode({name: value for name, value in values.items() if value not in ("", None)})


@dataclass(frozen=True, slots=True)
class Card:
    """A picture in the gallery."""

    job: Job
    image: Image

    @property
    def path(self) -> str:
        return f"/gallery/{self.job.id}/{self.image.index}"

    @property
    def is_long(self) -> bool:
        """Whether a square of it would hide more than half."""
        width, height = self.image.spec.result_size_px
        return max(width, height) > 2 * min(width, height)

    @property
    def alt(self) -> str:
        return self.image.alt or self.image.spec.prompt


@dataclass(frozen=True, slots=True)
class Page:
    cards: list[Card]
    next_before: str
    """Where the next page begins; empty on the last."""


async def fetch_page(context: ApiContext, access: Access, caller: Caller, look: Look) -> Page:
    """Return a page of pictures that may be shown, newest first. Raise `BeforeError`."""
    before = _read_time(look.before)
    history = context.rooms.history
    wanted = HistoryFilter(words=look.words, favourites=look.kind == "favourites")
    if look.kind == "showcase":
        jobs = await history.fetch_shared(caller.owner.guild_id, wanted, limit=JOBS_A_PAGE + 1, before=before)
    else:
        jobs = await history.fetch_page(caller.owner, wanted, limit=JOBS_A_PAGE + 1, before=before)
    cards = [card for job in jobs[:JOBS_A_PAGE] for card in await _build_cards(access, job)]
    return Page(cards, jobs[JOBS_A_PAGE - 1].created_at.isoformat() if len(jobs) > JOBS_A_PAGE else "")


async def _build_cards(access: Access, job: Job) -> list[Card]:
    shown = await access.list_shown(job)
    return [Card(job, image) for image in job.images if image.index in shown and image.status is Status.DONE]


def _read_time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise BeforeError from None
    if time is not None and time.tzinfo is None:
        raise BeforeError
    return time


class SmallPictures:
    """Makes small forms of pictures, and keeps the last ones."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._made = alru_cache(maxsize=_SMALL_KEPT)(self._make)

    async def fetch(self, image: Image) -> bytes:
        """Return a WebP of at most `SMALL_PX` a side. Raise `PictureGoneError`."""
        return await self._made(image.file_sha256 or "")

    async def _make(self, sha256: str) -> bytes:
        png = await asyncio.to_thread(self._context.rooms.generation.files.get, sha256) if sha256 else None
        if png is None:
            raise PictureGoneError
        return await asyncio.to_thread(_shrink, png)


def _shrink(png: bytes) -> bytes:
    with PillowImage.open(io.BytesIO(png), formats=("PNG",)) as picture:
        small = picture.convert("RGB")
        small.thumbnail((SMALL_PX, SMALL_PX))
        written = io.BytesIO()
        small.save(written, "WEBP", quality=85)
    return written.getvalue()


class _Written(io.RawIOBase):
    """A file that can only be written to: what was written is taken away piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


async def write_zip(context: ApiContext, cards: Iterable[Card]) -> AsyncIterator[bytes]:
    """Yield a ZIP of these pictures, one after another: it is never whole in memory. What is gone is left out."""
    written = _Written()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for card in cards:
            try:
                picture = await read_picture(context, card.image)
            except AtelierError:
                continue
            archive.writestr(_name_file(card, picture), picture.png)
            yield written.take()
    yield written.take()


def _name_file(card: Card, picture: Picture) -> zipfile.ZipInfo:
    time = card.job.created_at
    name = f"{time:%Y%m%d-%H%M%S}-{card.job.id}-{picture.image.index}.png"
    return zipfile.ZipInfo(name, (time.year, time.month, time.day, time.hour, time.minute, time.second))

"""`<region:left:a red boat>` in a prompt: words for one part of a picture.

Each region is one more row of a forward, which reads the words outside of all regions and then its own. The engine
blends what the rows predict (`generation.engine.region_weights`). Where regions overlap, the one that is written last
is on top. What they leave open shows the words outside of them alone; that is a row too, unless nothing is left open.
A back-slash, weights and edits mean in a region what they mean elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from generation.characters import category
from generation.requests.errors import TooManyPromptEditsError
from generation.requests.prompt import join_words
from generation.requests.prompt_schedule import MAX_WORDINGS, Wording
from generation.requests.region_errors import (
    EmptyRegionError,
    HiddenRegionError,
    RegionInNegativePromptError,
    RegionTagError,
    RestUndescribedError,
    TooManyRegionsError,
    UnknownAreaError,
)

FIRST_SYNTAX_WITH_REGIONS = 4
MAX_REGIONS = 3
MAX_NAME_CHARS = 40
GRID = 12
"""Parts of a side: halves, thirds and quarters are whole numbers of them."""


class Area(NamedTuple):
    """A rectangle of a picture, in parts of its sides."""

    left: int
    top: int
    right: int
    bottom: int


AREAS: Mapping[str, Area] = {
    "left": Area(0, 0, 6, 12),
    "right": Area(6, 0, 12, 12),
    "top": Area(0, 0, 12, 6),
    "bottom": Area(0, 6, 12, 12),
    "center": Area(3, 3, 9, 9),
    "top-left": Area(0, 0, 6, 6),
    "top-right": Area(6, 0, 12, 6),
    "bottom-left": Area(0, 6, 6, 12),
    "bottom-right": Area(6, 6, 12, 12),
    "left-third": Area(0, 0, 4, 12),
    "center-third": Area(4, 0, 8, 12),
    "right-third": Area(8, 0, 12, 12),
    "top-third": Area(0, 0, 12, 4),
    "middle-third": Area(0, 4, 12, 8),
    "bottom-third": Area(0, 8, 12, 12),
}
_BEGIN = re.compile(r"<\s*region\s*(?=[:>])", re.IGNORECASE)
_TAG = re.compile(r"<\s*region\s*:(?P<area>[^<>:]*)(?::(?P<text>[^<>]*))?>", re.IGNORECASE)
_BRACKETS = re.compile(r"\\.|[\[\]()]", re.DOTALL)
_PARTNERS = {")": "(", "]": "["}
_COMMAS = re.compile(r",(?:\s*,)+")
"""What is left of `a harbour, <region:left:a boat>, at night` beside its words."""


class Region(NamedTuple):
    """An area by its name, and the words for it."""

    area: str
    text: str


class ReadRegions(NamedTuple):
    """A prompt taken apart: the words outside of all regions, and the regions in their order."""

    words: str
    regions: tuple[Region, ...]

    @property
    def areas(self) -> tuple[Area, ...]:
        return tuple(AREAS[each.area] for each in self.regions)


def read_regions(prompt: str, syntax: int) -> ReadRegions:
    """Return what a prompt that was checked says, by that syntax."""
    if syntax < FIRST_SYNTAX_WITH_REGIONS or "<" not in prompt:
        return ReadRegions(prompt, ())
    regions = tuple(_read_tag(tag) for tag in _TAG.finditer(prompt))
    if not regions:
        return ReadRegions(prompt, ())
    words = " ".join(_TAG.sub(" ", prompt).split())
    return ReadRegions(_COMMAS.sub(",", words).strip(" ,"), regions)


def list_row_prompts(prompt: str, syntax: int) -> tuple[str, ...]:
    """Return what each row reads: the words for what is left open, if something is, then those for each region."""
    read = read_regions(prompt, syntax)
    if not read.regions:
        return (prompt,)
    rest = (read.words,) if 0 in list_owners(read.areas) else ()
    return (*rest, *(join_words(read.words, each.text) for each in read.regions))


def is_in_region(prompt: str, place: int) -> bool:
    """Return whether a place of a prompt is inside of a tag."""
    return any(tag.start() < place < tag.end() for tag in _TAG.finditer(prompt))


def find_cells(low: int, high: int, size: int) -> slice:
    """Return the cells of a side of `size` whose middle lies from `low` to `high`, in parts of the side."""
    first, end = (-((GRID // 2 - edge * size) // GRID) for edge in (low, high))
    return slice(first, end)


def list_owners(areas: Sequence[Area]) -> set[int]:
    """Return who has a part of the picture: 0 for what is left open, 1 for the first region, and so on."""
    grid = [[0] * GRID for _ in range(GRID)]
    for number, area in enumerate(areas, 1):
        columns = range(area.left, area.right)
        for row in grid[area.top : area.bottom]:
            for column in columns:
                row[column] = number
    return {owner for row in grid for owner in row}


def check_regions(prompt: str, negative: str = "", wordings: Iterable[Wording] = ()) -> None:
    """Raise `InvalidRequestError` for regions that cannot be read, or that change from step to step in number or place.

    `wordings`: what the prompts are at one time or another. For each row they count as one of `MAX_WORDINGS`.
    """
    if _BEGIN.search(negative):
        raise RegionInNegativePromptError
    places = _list_places(prompt)
    if any(_list_places(each.prompt) != places or _BEGIN.search(each.negative) for each in wordings):
        raise RegionTagError
    if not _BEGIN.search(prompt):
        return
    tags = list(_TAG.finditer(prompt))
    if len(tags) != len(_BEGIN.findall(prompt)) or any(_cut(pair, tags) for pair in _find_brackets(prompt)):
        raise RegionTagError
    regions = tuple(map(_read_tag, tags))
    _check_each(regions)
    read = read_regions(prompt, FIRST_SYNTAX_WITH_REGIONS)
    owners = list_owners(read.areas)
    if hidden := next((each for number, each in enumerate(regions, 1) if number not in owners), None):
        raise HiddenRegionError(area=hidden.area)
    if 0 in owners and not _says_something(read.words):
        raise RestUndescribedError
    rows = {
        (row, each.negative) for each in wordings for row in list_row_prompts(each.prompt, FIRST_SYNTAX_WITH_REGIONS)
    }
    if len(rows) > MAX_WORDINGS:
        raise TooManyPromptEditsError(number=len(rows), most=MAX_WORDINGS)


def _check_each(regions: Sequence[Region]) -> None:
    for area, text in regions:
        if area not in AREAS:
            raise UnknownAreaError(name=area[:MAX_NAME_CHARS], areas=", ".join(AREAS))
        if not _says_something(text):
            raise EmptyRegionError(area=area)
    if len(regions) > MAX_REGIONS:
        raise TooManyRegionsError(most=MAX_REGIONS, number=len(regions))


def _list_places(prompt: str) -> list[str]:
    return [_read_tag(tag).area for tag in _TAG.finditer(prompt)]


def _read_tag(tag: re.Match[str]) -> Region:
    return Region(tag["area"].strip().lower(), (tag["text"] or "").strip())


def _says_something(text: str) -> bool:
    return any(kind[0] in "LNS" for kind in map(category, text))


def _find_brackets(prompt: str) -> Iterator[tuple[int, int]]:
    """Yield the places of brackets and of their partners."""
    opened: list[tuple[str, int]] = []
    for match in _BRACKETS.finditer(prompt):
        sign = match[0]
        if sign in ("(", "["):
            opened.append((sign, match.start()))
        elif opened and opened[-1][0] == _PARTNERS.get(sign):
            yield opened.pop()[1], match.start()


def _cut(pair: tuple[int, int], tags: Iterable[re.Match[str]]) -> bool:
    """Return whether brackets are around a tag, or around a part of it and something else."""
    first, last = pair
    return any(
        first < tag.end() and last > tag.start() and not (tag.start() < first and last < tag.end()) for tag in tags
    )

"""What Discord takes in one message, and how a message is kept within it: by pages, or by an attached text file. Pure.

Discord counts text in characters. Its clients count UTF-16 code units, of which an emoji has two and nothing has fewer
than characters; so those are counted here, and a message is within the limit whichever way it is counted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from cogs.common.messages import (
    Action,
    Block,
    Button,
    Entry,
    Gallery,
    Lines,
    Long,
    MessageSpec,
    Picture,
    Row,
    Rule,
    Weight,
)
from cogs.i18n.gettext import N_, _, format_count

PAGE_OF = N_("Page {number} of {total}")
IN_A_FILE = N_("The file {name} has the whole text.")

MAX_TEXT = 4000
"""All texts of a message made of components, together."""
MAX_CONTENT = 2000
"""A message of plain text."""
MAX_COMPONENTS = 40
MAX_FILES = 10
MAX_OPTIONS = 25
"""Of a menu, and choices offered while typing."""
MAX_OPTION = 100
"""A label, value or description of an option, and the name of a choice."""
MAX_PLACEHOLDER = 150
MAX_MENTIONS = 80
"""Mentions of members in one message: Discord notifies at most 100, and so many fit."""
MAX_TYPED = 4000
"""What one field of a form holds."""
DEFAULT_SIZE_LIMIT = 10 * 1024 * 1024
"""Discord's own limit for a file, where no interaction has told a better one."""
PAGE_ROOM = 1500
"""What a list keeps for itself, however long the texts beside it are."""
NOTE_ROOM = 150
"""For the line that says where the rest is."""
MAX_IN_ROW = 5
"""Buttons in one row."""
MAX_THUMBNAILS = 5
"""On one page of a list: each is three components, and the texts between them are some more."""
Line = str | Entry
_JOINS = "\u200d\ufe0e\ufe0f"
_MOST_MARKS = 16


def measure_text(text: str) -> int:
    """Return how much of a limit a text takes."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut_text(text: str, limit: int) -> str:
    """Return the text; one over the limit ends in “…”, which parts no character from its marks."""
    if measure_text(text) <= limit:
        return text
    taken = text.encode("utf-16-le", "surrogatepass")[: 2 * max(0, limit - 1)]
    whole = taken.decode("utf-16-le", "ignore")
    end = len(whole)
    for start in range(end, max(0, end - _MOST_MARKS), -1):
        if not _is_mark(text[start]) and text[start - 1] != "\u200d":
            end = start
            break
    return text[:end].rstrip() + "…"


def _is_mark(sign: str) -> bool:
    return sign in _JOINS or unicodedata.combining(sign) > 0 or "\U0001f3fb" <= sign <= "\U0001f3ff"


def count_fitting(lines: Sequence[str], room: int) -> int:
    """Return how many of these lines, from the first, have a place in so much room."""
    left = room
    for number, line in enumerate(lines):
        left -= measure_text(line) + 1
        if left < -1:  # no line break follows the last
            return number
    return len(lines)


# A whole message.


def fit_message(say: MessageSpec, page: int = 0) -> MessageSpec:
    """Return the message as it can be sent: a list by pages, and text that is too long in a file beside it."""
    if _is_short(say.blocks):
        return say
    listing = next((block for block in say.blocks if isinstance(block, Lines)), None)
    kept = measure_text("\n".join(map(_get_text, listing.lines))) if listing is not None else 0
    room = MAX_TEXT - min(PAGE_ROOM, kept)
    max_files = MAX_FILES - sum(1 for _picture in say.pictures())
    shortened, files = _shorten(_merge(say.blocks), room, max_files=max_files)
    blocks, rows = shortened, say.rows
    if listing is not None:
        left = MAX_TEXT - sum(measure_text(_get_text(block)) for block in shortened)
        pages = split_pages(listing.lines, left)
        shown = min(max(0, page), len(pages) - 1)
        if len(pages) > 1:
            note = "-# " + _(PAGE_OF, number=format_count(shown + 1), total=format_count(len(pages)))
            rows = (*rows, _build_pager(listing.key, shown, len(pages)))
        index = shortened.index(listing)
        blocks = [*shortened[:index], *_join_lines(pages[shown]), *shortened[index + 1 :]]
        blocks += [note] if len(pages) > 1 else []
    return replace(say, blocks=tuple(blocks), rows=rows, attached=(*say.attached, *files))


def _is_short(blocks: Sequence[Block]) -> bool:
    """Return whether these fit as they are, by a quick look: no character is more than two code units."""
    texts = [_get_text(block) for block in blocks if not isinstance(block, Gallery | Rule)]
    is_plain = not any(isinstance(block, Lines | Long) for block in blocks) and all(map(str.strip, texts))
    return is_plain and len(blocks) <= MAX_COMPONENTS // 4 and 2 * sum(map(len, texts)) <= MAX_TEXT


def split_pages(lines: Sequence[Line], room: int) -> list[list[Line]]:
    """Return the lines in pages of so much room; all on one if they fit. There is at least one page."""
    if _count_on_page(lines, room) == len(lines):
        return [list(lines)]
    room -= NOTE_ROOM
    rest, pages = [_cut_line(line, room) for line in lines], []
    while rest:
        number = _count_on_page(rest, room)
        pages.append(rest[:number])
        rest = rest[number:]
    return pages


def _count_on_page(lines: Sequence[Line], room: int) -> int:
    """Return how many of these lines, from the first, have a place on a page, with their pictures."""
    pictured = [index for index, line in enumerate(lines) if isinstance(line, Entry)]
    most = pictured[MAX_THUMBNAILS] if len(pictured) > MAX_THUMBNAILS else len(lines)
    return count_fitting([_get_text(line) for line in lines[:most]], room)


def _cut_line(line: Line, limit: int) -> Line:
    return cut_text(line, limit) if isinstance(line, str) else replace(line, text=cut_text(line.text, limit))


def _join_lines(lines: Sequence[Line]) -> Iterator[Block]:
    """Yield the lines as blocks: those beside a picture alone, the text between them as one."""
    for is_text, group in groupby(lines, key=lambda line: isinstance(line, str)):
        if not is_text:
            yield from group
        elif text := "\n".join(map(_get_text, group)):
            yield text


def _build_pager(key: str, shown: int, total: int) -> Row:
    """Return the buttons that turn the page; each goes to another one, for two may not have the same id."""
    turns = {0: _("First"), total - 1: _("Last"), shown - 1: _("Previous"), shown + 1: _("Next")}
    there = sorted(each for each in turns if 0 <= each < total and each != shown)
    return tuple(
        Button(Action.PAGE, f"{key}:{each}", turns[each], Weight.MAIN if each == shown + 1 else Weight.USUAL)
        for each in there
    )


def _merge(blocks: Sequence[Block]) -> list[Block]:
    """Return the blocks without empty ones. Where they are many, neighbouring texts become one component."""
    there = [block for block in blocks if not (isinstance(block, str) and not block.strip())]
    if len(there) <= MAX_COMPONENTS // 4:
        return there
    merged: list[Block] = []
    for is_text, group in groupby(there, key=lambda block: isinstance(block, str)):
        run = list(group)
        merged += ["\n".join(str(block) for block in run)] if is_text else run
    return merged


def _shorten(blocks: list[Block], room: int, *, max_files: int = MAX_FILES) -> tuple[list[Block], list[Picture]]:
    """Return the blocks with their longest texts cut so that all fit, and the files that hold those whole.

    Where a message has no place for a further file, because pictures take them all, a text is cut without one.
    """
    sizes = [measure_text(_get_text(block)) for block in blocks]
    most = share_room(sizes, room)
    shown: list[Block] = []
    files: list[Picture] = []
    for block, length in zip(blocks, sizes, strict=True):
        if length <= most:
            shown.append(_get_text(block) if isinstance(block, Long) else block)
            continue
        has_file = len(files) < max_files
        whole = block if isinstance(block, Long) else Long(_get_text(block), "text.txt", _("The whole text"))
        name = whole.filename if not files else f"{len(files) + 1}-{whole.filename}"
        part = _part(whole, most, "\n-# " + _(IN_A_FILE, name=f"`{name}`") if has_file else "")
        shown.append(replace(block, text=part) if isinstance(block, Entry) else part)
        if has_file:
            files.append(Picture(name, whole.text.encode("utf-8", "replace"), whole.alt))
    return shown, files


def share_room(sizes: Sequence[int], room: int) -> int:
    """Return the most that each text may have so that all together fit: short ones keep what they have."""
    left = room
    for number, length in enumerate(ordered := sorted(sizes)):
        share = left // (len(ordered) - number)
        if length > share:
            return share
        left -= length
    return room


def _get_text(block: Block) -> str:
    """Return what is read of a block; "" of a list, which has room of its own."""
    match block:
        case str():
            return block
        case Entry():
            return block.text
        case Long():
            return format_code(block.text) if block.is_code else block.text
        case _:
            return ""


def _part(whole: Long, room: int, note: str) -> str:
    """Return the beginning of a text, and where the rest is. Code stays code, also where a text only holds some."""
    room -= measure_text(note) + len(format_code(""))
    if whole.is_code:
        return format_code(whole.text, limit=room) + note
    begun = re.sub(r"\\…$", "…", cut_text(whole.text, room))
    return begun + ("\n```" if begun.count("```") % 2 else "") + note


def format_code(text: str, *, limit: int = MAX_TEXT) -> str:
    """Return text to copy. Back-ticks in it are kept apart, so that none ends the block."""
    apart = text.replace("``", "`\u200b`")
    return "```\n" + cut_text(apart, limit) + "\n```"


# Plain text.


def fit_text(text: str) -> tuple[str, tuple[Picture, ...]]:
    """Return a plain message as it can be sent, and the file with all of it if it is too long."""
    if measure_text(text) <= MAX_CONTENT:
        return text, ()
    shown, files = _shorten([text], MAX_CONTENT)
    return str(shown[0]), tuple(files)

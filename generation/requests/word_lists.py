"""Lists of words that a server gives a name: a prompt draws a line of one by `__name__`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from generation.requests.errors import (
    EmptyWordListError,
    TooManyWordListsError,
    WordListCharsError,
    WordListNameError,
    WordListsTooLargeError,
    WordListTooLongError,
)
from generation.requests.prompt import check_prompt, clean_prompt
from generation.requests.wildcards import NAME, holds_choices
from generation.translatable import Phrase

MAX_LISTS = 25
MAX_LINES = 200
MAX_NAME_CHARS = 32
MAX_CHARS = 4000
"""Of one list, lines and line breaks as Discord counts them: what the box of a form takes."""
MAX_ALL_CHARS = 20_000
"""Of all lists of a server: its settings are kept in memory."""
_LINE = Phrase("A line of a list")


def clean_name(typed: str) -> str:
    """Return the name of a list as it is kept. Raise `WordListNameError` for what can be none."""
    name = clean_prompt(typed).strip("_").casefold()
    if len(name) > MAX_NAME_CHARS or not NAME.fullmatch(name):
        raise WordListNameError(most=MAX_NAME_CHARS)
    return name


def clean_lines(typed: str) -> tuple[str, ...]:
    """Return the lines that hold something, each once."""
    return tuple(dict.fromkeys(filter(None, map(clean_prompt, typed.splitlines()))))


def join_lines(lines: Iterable[str]) -> str:
    """Return the lines of a list as they are typed."""
    return "\n".join(lines)


def check_lists(lists: Mapping[str, tuple[str, ...]]) -> None:
    """Raise `InvalidRequestError` unless a server may have these."""
    if len(lists) > MAX_LISTS:
        raise TooManyWordListsError(most=MAX_LISTS)
    for name, lines in lists.items():
        _check_list(name, lines)
    number = sum(len(line) for lines in lists.values() for line in lines)
    if number > MAX_ALL_CHARS:
        raise WordListsTooLargeError(most=MAX_ALL_CHARS, number=number)


def _check_list(name: str, lines: tuple[str, ...]) -> None:
    if clean_name(name) != name:
        raise WordListNameError(most=MAX_NAME_CHARS)
    if not any(lines):
        raise EmptyWordListError(name=name)
    if len(lines) > MAX_LINES:
        raise WordListTooLongError(name=name, most=MAX_LINES, number=len(lines))
    text = join_lines(lines)
    if (number := len(text.encode("utf-16-le")) // 2) > MAX_CHARS:
        raise WordListCharsError(name=name, most=MAX_CHARS, number=number)
    for line in lines:
        check_prompt(line, name=_LINE)
        holds_choices(line)

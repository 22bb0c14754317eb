"""The language people are spoken to in. Texts stand in the code in English, and are said in another when shown.

`_("…")` and `ngettext` look a text up in the catalogue of the language that is spoken *now*, in this task:
`set_language` sets it, once for everything that comes from Discord. What one person reads is in the language they
chose, else in that of their Discord (`get_locale`); what a server reads is in the server's (`get_guild_language`).
`N_("…")` marks a text that is said later. See docs/languages.md.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from functools import cache, lru_cache, reduce
from pathlib import Path

from babel import Locale, negotiate_locale
from babel.dates import format_skeleton, format_time
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit

from generation.errors import AtelierError
from generation.policy.guild_preferences import AUTO
from generation.translatable import Phrase

SOURCE = "en"
FOLDER = Path(__file__).parent / "locale"
FILE = "LC_MESSAGES/atelier.po"
_DATES_AS = {SOURCE: "en_GB"}
"""Where a language writes dates in several ways, the one that is taken: 24 hours, the day first."""
_spoken: ContextVar[str] = ContextVar("language", default=SOURCE)


# Which language.


@cache
def list_languages() -> tuple[str, ...]:
    """Return the languages there are, by their codes: English, and one for each catalogue."""
    return (SOURCE, *sorted(path.name for path in FOLDER.iterdir() if (path / FILE).exists()))


@cache
def match_language(locale: str) -> str:
    """Return the language of ours for one of Discord's locales (`de`, `en-GB`, `pt-BR`); English where there is
    none."""
    found = negotiate_locale([locale.replace("-", "_")], list_languages()) if locale else None
    return found or SOURCE


def get_language_name(language: str) -> str:
    """Return what a language calls itself, as the name of a choice."""
    name = Locale.parse(language).get_display_name() or language
    return name[:1].upper() + name[1:]


def get_guild_language(chosen: str, locale: object) -> str:
    """Return the language of what a server's members read together: the one `chosen` in its settings, else
    Discord's."""
    return match_language(str(locale or "") if chosen == AUTO else chosen)


def set_language(locale: object) -> None:
    """From here on, in this task and those it starts, people are spoken to in the language of `locale`."""
    _spoken.set(match_language(str(locale or "")))


@contextmanager
def use_language(locale: object) -> Iterator[None]:
    """Only for a while: where one task speaks to a server and to a person."""
    token = _spoken.set(match_language(str(locale or "")))
    try:
        yield
    finally:
        _spoken.reset(token)


# What is said.


def N_(text: str) -> str:
    """Mark a text of the catalogue that `_` says later."""
    return text


def _(text: str, /, **values: object) -> str:
    """Return a text in the language spoken now, with `values` filled in as that language writes them."""
    if isinstance(text, Phrase):
        values = {**text.values}
        text = text.template
    said = _load_catalogue(_spoken.get()).gettext(text) if text else ""
    return said.format(**{name: format_value(value) for name, value in values.items()}) if values else said


def ngettext(one: str, many: str, number: int, /, **values: object) -> str:
    """Return the form of a text that goes with `number`, which both forms may name as `{number}`."""
    said = _load_catalogue(_spoken.get()).ngettext(one, many, number)
    return said.format(number=format_count(number), **{name: format_value(value) for name, value in values.items()})


def format_error(error: AtelierError) -> str:
    """Return what an error of ours says."""
    return _(error.template, **error.details)


def format_value(value: object) -> str:
    """Return a value as the language spoken now writes it: phrases said, numbers and moments formatted, all else as
    it is."""
    match value:
        case Phrase():
            return _(value)
        case AtelierError():
            return format_error(value)
        case tuple():
            return join_clauses([format_value(each) for each in value])
        case float():
            return format_number(value)
        case datetime():
            return _(
                "{day} at {time}", day=format_day(value), time=format_time(value, "short", locale=_get_date_locale())
            )
        case _:
            return str(value)


# How numbers are written.


_MANY = 1e15
# The same few numbers are written again and again, and Babel reads its pattern each time. Typed: 1 is no 1.0.
_write_decimal = lru_cache(4096, typed=True)(format_decimal)
_write_unit = lru_cache(4096, typed=True)(format_unit)


def format_count(number: int) -> str:
    """`1,234` here, `1.234` there."""
    return _write_decimal(number, locale=_spoken.get())


def format_number(value: float) -> str:
    """To six digits, as `:g` does, without grouping: `0.05`, `7.5`."""
    if not abs(value) < _MANY:  # not meant by a user: infinite, no number, or hundreds of digits
        return f"{value:g}"
    plain = float(f"{value:g}") + 0.0  # no “-0”, which equals 0
    return _write_decimal(plain, "0.######", locale=_spoken.get(), decimal_quantization=False)


def format_tenths(value: float) -> str:
    """Return a number grouped, to one digit after the sign: `1,234.5`."""
    return format_decimal(value, "#,##0.#", locale=_spoken.get())


def format_signed(value: float) -> str:
    """Return a number to a thousandth, with its sign: `+0.021`."""
    return format_decimal(value, "+0.000;-0.000", locale=_spoken.get())


def format_part(part: float) -> str:
    """Return a part of one: `25%`."""
    return format_percent(part, locale=_spoken.get())


def format_day(day: date) -> str:
    """`21 November`."""
    return format_skeleton("MMMMd", day, locale=_get_date_locale())


def _get_date_locale() -> str:
    return _DATES_AS.get(_spoken.get(), _spoken.get())


def format_measure(number: float, name: str, *, digits: int = 0) -> str:
    """Return a measured amount with its unit, short; `name` as Unicode's CLDR has it: `duration-minute`."""
    return _write_unit(round(number, digits) if digits else round(number), name, length="short", locale=_spoken.get())


def join_list(items: Sequence[str], style: str = "standard") -> str:
    """Return `a, b, and c`."""
    return format_list(items, style=style, locale=_spoken.get())  # type: ignore[arg-type]


def join_clauses(clauses: Sequence[str]) -> str:
    """Return `a; b; c`."""
    return reduce(lambda said, clause: _("{before}; {after}", before=said, after=clause), clauses) if clauses else ""


def format_labelled(what: object, text: str) -> str:
    """Return `what: text`."""
    return _("{what}: {text}", what=what, text=text)


@cache
def _load_catalogue(language: str) -> gettext.NullTranslations:
    """Read from its `.po` file and compiled in memory, so that no one has to compile anything."""
    if language == SOURCE:
        return gettext.NullTranslations()
    with (FOLDER / language / FILE).open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)

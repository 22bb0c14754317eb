"""Finds every text that people may read, and keeps the catalogues of `cogs/i18n/locale/` in step with them.

`python -m cogs.i18n.extract` adds what is new to every language, empty, and takes out what is gone; `python -m
cogs.i18n.extract it` begins a language. Which texts there are, three places say: calls of `_`, `N_`, `ngettext` and
`Phrase` in the code; the docstrings of the errors, and the words of some enumerations; and the commands themselves, as
discord.py asks for translations.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import io
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import discord
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po
from discord import app_commands

from cogs.i18n.gettext import FILE, FOLDER
from cogs.i18n.translator import is_translated
from cogs.registered import load_offline_bot
from generation.errors import AtelierError, ConfigurationError, iterate_classes
from generation.jobs.job_kind import JobKind
from generation.policy.guild_access import AccessDecision
from generation.rules.rule import Action, Kind

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("cogs", "db", "generation")
MARKS = {"_": None, "N_": None, "ngettext": (1, 2), "Phrase": None}
WORDS: tuple[type[StrEnum], ...] = (JobKind, Kind, Action, AccessDecision)
"""Enumerations whose words people read."""
HEADER = """\
# Atelier in another language: see docs/languages.md.
# Texts are kept in step with the code by `make texts`.
"""
NO_HEADERS = tuple(
    f'"{name}'
    for name in ("POT-Creation", "PO-Revision", "Last-T", "Language-Team", "Report", "Generated", "Project-Id")
)
"""No one reads them, and every run would change some."""


def extract_texts() -> Catalog:
    """Every text, with where it stands; untranslated."""
    found = Catalog(project="Atelier", header_comment=HEADER, fuzzy=False)
    for where, message, comments in [*_extract_code(), *_extract_errors(), *_extract_words(), *_extract_commands()]:
        found.add(message, locations=[(where, 0)], auto_comments=comments)
    return found


def read(language: str) -> Catalog:
    """Return the catalogue of a language as it is."""
    with (FOLDER / language / FILE).open("rb") as file:
        return read_po(file, locale=language)


def update(language: str) -> tuple[int, list[Message]]:
    """Write the catalogue again: what is translated stays, what is new is empty. Return how many texts, and those
    that are not translated."""
    path = FOLDER / language / FILE
    catalogue = extract_texts()
    catalogue.locale = language
    if path.exists():
        known = read(language)
        for message in catalogue:
            if message.id and (said := known.get(message.id)) is not None:
                message.string = said.string
    path.parent.mkdir(parents=True, exist_ok=True)
    written = io.BytesIO()
    write_po(written, catalogue, width=120, sort_by_file=True, include_lineno=False)
    lines = written.getvalue().decode().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(NO_HEADERS)), encoding="utf-8")
    return len(catalogue), [each for each in catalogue if each.id and not all(_list_strings(each.string))]


def _list_strings(string: object) -> tuple[str, ...]:
    return tuple(string) if isinstance(string, list | tuple) else (str(string or ""),)


def _extract_code() -> Iterator[tuple[str, str | tuple[str, ...], list[str]]]:
    for room in ROOMS:
        for name, _line, message, comments, _context in extract_from_dir(
            ROOT / room, [("**.py", "python")], keywords=MARKS, comment_tags=("Translators:",), strip_comment_tags=True
        ):
            yield f"{room}/{name}", message, comments


def _extract_errors() -> Iterator[tuple[str, str, list[str]]]:
    for each in list_errors():
        yield each.__module__.replace(".", "/") + ".py", inspect.getdoc(each) or "", []


def list_errors() -> list[type[AtelierError]]:
    """Return the classes of errors that people read in Discord: each room has its own in files named `errors.py`.

    Those of `ConfigurationError` and of the engine stay out: the console and the log speak English.
    """
    for room in ROOMS:
        for path in (ROOT / room).rglob("errors.py"):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return [each for each in iterate_classes() if _is_translated_error(each)]


def _is_translated_error(kind: type[AtelierError]) -> bool:
    module = kind.__module__.split(".")
    return module[0] in ROOMS and module[:2] != ["generation", "engine"] and not issubclass(kind, ConfigurationError)


def _extract_words() -> Iterator[tuple[str, str, list[str]]]:
    for each in WORDS:
        for word in each:
            yield each.__module__.replace(".", "/") + ".py", word.value, []


def _extract_commands() -> list[tuple[str, str, list[str]]]:
    """Return what discord.py would have translated: descriptions of commands and options, names of choices and
    menus."""
    bot, collector = load_offline_bot(), _Collector()

    async def ask() -> None:
        for command in (*bot.slash_commands, *bot.context_menus):
            await command.get_translated_payload(bot.tree, collector)

    asyncio.run(ask())
    return [("commands", text, []) for text in collector.found]


class _Collector(app_commands.Translator):
    """Translates nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.found: dict[str, None] = {}

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> None:
        if is_translated(context):
            self.found[string.message] = None


def main(words: list[str]) -> None:
    languages = words or sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
    for language in languages:
        num_texts, missing = update(language)
        sys.stdout.write(f"{language}: {num_texts} texts, {len(missing)} of them not said yet\n")
        for each in missing:
            sys.stdout.write(f"  {each.locations[0][0]}: {_list_strings(each.id)[-1]!r}\n")


if __name__ == "__main__":
    main(sys.argv[1:])

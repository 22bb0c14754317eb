"""Every text that people read is marked; numbers, times and locales use the language's format."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from discord import app_commands

from cogs.error_handler import translate
from cogs.i18n import extract
from cogs.i18n.gettext import (
    _,
    format_count,
    format_error,
    format_measure,
    format_number,
    format_part,
    get_guild_language,
    get_language_name,
    join_list,
    match_language,
    ngettext,
    use_language,
)
from generation.policy.audit import read_change, write_change
from generation.policy.errors import LanguageCodeError
from generation.policy.guild_preferences import AUTO, GuildPreferences
from generation.requests.errors import EmptyPromptError, NumberOutOfRangeError, PromptTooLongError
from generation.translatable import Phrase

UNREAD = {"debug", "info", "warning", "error", "exception", "log", "ValueError", "RuntimeError"} | {
    "command",
    "describe",
}
"""Calls whose texts are for the log, or are handed to Discord through the translator."""
AT_THE_CONSOLE = {"extract.py", "connection.py", "endpoints.py"}


def of(catalog: Catalog) -> Iterator[Message]:
    return (message for message in catalog if message.id)


def forms(text: object) -> tuple[str, ...]:
    return tuple(text) if isinstance(text, tuple | list) else (str(text or ""),)


def test_there_are_texts_in_every_room(template: Catalog) -> None:
    places = {where.split("/")[0] for message in of(template) for where, _line in message.locations}
    assert places == {"cogs", "commands", "db", "generation"}


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))


def marked(call: ast.Call) -> list[str]:
    """Return the texts that a call marks: its literals."""
    if getattr(call.func, "id", None) not in extract.MARKS:
        return []
    texts = call.args[: 2 if getattr(call.func, "id", None) == "ngettext" else 1]
    return [text.value for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)]


def sources() -> Iterator[Path]:
    return (path for room in extract.ROOMS for path in (extract.ROOT / room).glob("**/*.py"))


def test_marked_texts_are_found(template: Catalog) -> None:
    """Babel reads no marks inside of f-strings, and none of what is put together first."""
    known = {form for message in of(template) for form in forms(message.id)}
    lost = {text for path in sources() for call in calls(path) for text in marked(call)} - known
    assert lost == set()


def test_a_mark_is_never_put_around_a_text_that_is_filled_in_already() -> None:
    wrong = [
        f"{path.name}:{call.lineno}"
        for path in sources()
        for call in calls(path)
        if getattr(call.func, "id", None) in extract.MARKS
        and call.args
        and isinstance(call.args[0], ast.JoinedStr | ast.BinOp)
    ]
    assert wrong == []


def sentences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Return unmarked texts with two words in a row: no documentation, log or name."""
    if isinstance(tree, ast.Call):
        name = getattr(tree.func, "id", None) or getattr(tree.func, "attr", None)
        if name in UNREAD or name in extract.MARKS:
            return
    if isinstance(tree, ast.Assert) or (isinstance(tree, ast.Expr) and isinstance(tree.value, ast.Constant)):
        return
    if isinstance(tree, ast.Constant):
        if isinstance(tree.value, str) and re.search(r"[A-Za-z]{2} [a-z]{2}", re.sub("`/[^`]*", "", tree.value)):
            yield tree.lineno, tree.value
        return
    yield from _inside(tree)


def _inside(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for child in ast.iter_child_nodes(tree):
        yield from sentences(child)


def test_no_sentence_of_the_cogs_is_unmarked(template: Catalog) -> None:
    known = {form for message in of(template) for form in forms(message.id)}
    found = [
        f"{path.name}:{line} {text}"
        for path in (extract.ROOT / "cogs").glob("**/*.py")
        if path.name not in AT_THE_CONSOLE
        for line, text in sentences(ast.parse(path.read_text(encoding="utf-8")))
        if text not in known
    ]
    assert found == []


def test_words_and_numbers_in_german() -> None:
    with use_language("de"):
        assert ngettext("{number} picture", "{number} pictures", 1) == "1 Bild"
        assert ngettext("{number} picture", "{number} pictures", 1234) == "1.234 Bilder"
        assert (format_count(1234), format_number(0.05), format_part(0.25)) == (
            "1.234",
            "0,05",
            "25\N{NO-BREAK SPACE}%",
        )
        assert format_measure(3, "duration-minute") == "3 Min."
        assert join_list(["a", "b"]) == "a und b"
        assert _("guidance {value}", value=7.5) == "Guidance 7,5"
    assert (format_count(1234), format_number(0.05), format_part(0.25)) == ("1,234", "0.05", "25%")
    assert (format_number(-0.0), format_number(0.0), format_count(1), format_number(1.0)) == ("0", "0", "1", "1")
    assert format_measure(3, "duration-minute") == "3 min"
    assert _("guidance {value}", value=7.0) == "guidance 7"


def test_words_and_numbers_in_french() -> None:
    with use_language("fr"):
        assert [ngettext("{number} picture", "{number} pictures", number) for number in (0, 1, 2)] == [
            "0 image",
            "1 image",
            "2 images",
        ]
        assert (format_count(12345), format_number(0.05), format_part(0.25)) == (
            "12\N{NARROW NO-BREAK SPACE}345",
            "0,05",
            "25\N{NO-BREAK SPACE}%",
        )
        assert format_measure(3, "duration-minute") == "3\N{NO-BREAK SPACE}min"
        assert join_list(["a", "b", "c"]) == "a, b et c"
        assert _("{title}: {chosen}", title="a", chosen="b") == "a\N{NO-BREAK SPACE}: b"
        assert _("by {when}", when=datetime(2026, 5, 3, 14, 7)) == "by 3 mai à 14:07"


def test_words_and_numbers_in_spanish() -> None:
    with use_language("es-419"):
        assert [ngettext("{number} picture", "{number} pictures", number) for number in (0, 1, 2)] == [
            "0 imágenes",
            "1 imagen",
            "2 imágenes",
        ]
        assert (format_count(1234), format_count(12345), format_number(0.05)) == ("1.234", "12.345", "0,05")
        assert format_part(0.25) == "25\N{NO-BREAK SPACE}%"
        assert join_list(["a", "b", "c"]) == "a, b y c"
        assert _("by {when}", when=datetime(2026, 5, 3, 14, 7)) == "by 3 de mayo, 14:07"


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("en-GB", "en"),
        ("en-US", "en"),
        ("es-419", "es"),
        ("es-ES", "es"),
        ("fr", "fr"),
        ("it", "en"),
        ("", "en"),
    ],
)
def test_discords_locale_to_a_language_of_ours(locale: str, language: str) -> None:
    assert match_language(locale) == language


def test_a_servers_own_choice_goes_before_discords() -> None:
    assert get_guild_language(AUTO, "de") == "de"
    assert get_guild_language("en", "de") == "en"
    assert get_guild_language("tlh", "de") == "en", "a language that was taken away again"
    assert GuildPreferences(language="de").language == "de"
    assert [get_language_name(each) for each in ("de", "es", "fr")] == ["Deutsch", "Español", "Français"]
    with pytest.raises(LanguageCodeError):
        GuildPreferences(language="../../etc")


async def test_one_task_does_not_change_anothers_language() -> None:
    async def say(locale: str) -> str:
        with use_language(locale):
            await asyncio.sleep(0)
            return _("Steps")

    assert await asyncio.gather(say("de"), say("en-US"), say("de")) == ["Schritte", "Steps", "Schritte"]


def test_an_inner_error_is_translated_for_the_reader() -> None:
    error = EmptyPromptError(name=Phrase("The negative prompt"))
    assert str(error) == translate(error).text and str(error).startswith("The negative prompt is empty. ")
    with use_language("de"):
        assert translate(error).text.startswith("Der negative Prompt ist leer. ")


def test_a_phrase_is_its_english_and_keeps_its_parts() -> None:
    inner = Phrase("{number} steps", number=7.5)
    phrase = Phrase("at most {what}", what=inner)
    assert phrase == "at most 7.5 steps"
    assert Phrase.unpacked(phrase.packed()) == phrase
    assert Phrase.unpacked(phrase.packed()).packed() == phrase.packed()
    assert Phrase("{not a value}") == "{not a value}"
    assert Phrase("on {when}", when=datetime(2026, 5, 3, 14, 7)) == "on 03 May at 14:07"


def test_the_audit_trail_can_be_read_in_any_language() -> None:
    change = Phrase("removed the rule “{text}”", text="foo")
    kept = read_change(write_change(change))
    assert kept == change
    with use_language("de"):
        assert _(kept) == "hat die Regel „foo“ entfernt"
    assert read_change(write_change("as it was")) == "as it was"
    assert len(write_change(Phrase("x {y}", y="z" * 9000))) <= 300


async def test_commands_say_themselves_in_every_language() -> None:
    import discord

    from cogs.i18n.translator import Translator
    from cogs.imagine._cog import Imagine

    tree = app_commands.CommandTree(discord.Client(intents=discord.Intents.none()))
    command = Imagine.imagine
    payload = await command.get_translated_payload(tree, Translator())
    assert payload["description_localizations"] == {
        "de": "Malt ein Bild von dem, was du beschreibst.",
        "es-419": "Pinta una imagen de lo que describes.",
        "es-ES": "Pinta una imagen de lo que describes.",
        "fr": "Peint une image de ce que vous décrivez.",
    }
    assert payload["name_localizations"] == {}
    aspect = next(option for option in payload["options"] if option["name"] == "aspect")
    assert aspect["choices"][0]["name_localizations"] == {
        "de": "Quadrat (1:1)",
        "es-419": "Cuadrado (1:1)",
        "es-ES": "Cuadrado (1:1)",
        "fr": "Carré (1:1)",
    }
    sampler = next(option for option in payload["options"] if option["name"] == "sampler")
    assert sampler["autocomplete"] and "choices" not in sampler, "names, not words"


def bare_errors(path: Path, kinds: set[str]) -> Iterator[str]:
    """Where an error that people read is given words that are no `Phrase`."""
    for call in calls(path):
        for each in call.keywords if getattr(call.func, "id", None) in kinds else ():
            is_text = isinstance(each.value, ast.Constant | ast.JoinedStr)
            if is_text and any(map(re.compile("[A-Za-z]{2}").search, _texts_in(each.value))):
                yield f"{path.name}:{call.lineno}"


def _texts_in(tree: ast.AST) -> Iterator[str]:
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return (node.value for node in nodes if isinstance(node.value, str))


def test_errors_from_the_rooms_that_know_no_language_are_phrases() -> None:
    kinds = {each.__name__ for each in extract.list_errors()}
    assert {"InvalidRequestError", "EmptyPromptError", "NotAManagerError"} <= kinds
    assert [where for path in sources() for where in bare_errors(path, kinds)] == []


def test_every_error_that_people_read_is_found() -> None:
    """The classes lie in files named `errors.py`, which the catalogue reads; no two have one name."""
    kinds = [each.__name__ for each in extract.list_errors()]
    assert len(kinds) == len(set(kinds))
    written = {
        node.name
        for path in sources()
        if "engine" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and {getattr(base, "id", "") for base in node.bases} & set(kinds)
    }
    assert written - {"ConfigurationError"} <= set(kinds)


def test_an_error_is_one_sentence_in_german() -> None:
    from generation.requests.prompt import check_prompt
    from generation.requests.spec import ImageSpec

    with use_language("de"):
        with pytest.raises(PromptTooLongError) as long:
            check_prompt("x" * 9999, name=Phrase("The prompt"))
        assert format_error(long.value) == "Der Prompt darf höchstens 1500 Zeichen lang sein, nicht 9999."
        with pytest.raises(NumberOutOfRangeError) as wrong:
            ImageSpec(prompt="a", model="m", width_px=64, height_px=64, steps=4, guidance=31.5, sampler="Euler", seed=1)
        assert format_error(wrong.value) == "Guidance: Möglich ist eine Zahl von 0 bis 30, nicht 31,5."
    assert str(wrong.value) == "Guidance must be a number from 0 to 30, not 31.5."

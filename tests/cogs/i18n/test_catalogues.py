"""Every catalogue is complete, has the values of its texts, fits into Discord and keeps the rules of its language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from gettext import c2py
from string import Formatter

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.plurals import get_plural

from cogs.i18n import extract
from cogs.i18n.gettext import SOURCE, list_languages
from generation.images.fonts import has_glyph

OTHERS = [language for language in list_languages() if language != SOURCE]
BUTTONS = ("Cancel", "Export", "Favourite", "Recipe", "Remix", "Reproduce", "Reroll", "Upscale", "Use as start image")
"""What sentences name as it stands on a button or in a menu."""
WRONG = {
    "de": re.compile("['\"”]"),
    "es": re.compile(r"""['"“”’]|\s[:;!?»]|«\s"""),
    "fr": re.compile("['\"“”]|[^\u202f][;!?]|[^\u00a0][:»]|«[^\u00a0]"),
}
"""Signs that a language does not write so: straight quotes, and spaces that may break a line."""
PAIRS = {"de": [("„", "“")], "es": [("¿", "?"), ("¡", "!"), ("«", "»")], "fr": [("«", "»")]}
NO_PROSE = re.compile(r"`[^`]*`|\{\w+\}|<[^>]*>|\]\([^)]*\)|\w+:[\d.]+|\bname2?\b|@everyone")


def of(catalog: Catalog) -> Iterator[Message]:
    return (message for message in catalog if message.id)


def forms(text: object) -> tuple[str, ...]:
    return tuple(text) if isinstance(text, tuple | list) else (str(text or ""),)


def translated(language: str) -> list[Message]:
    return [message for message in of(extract.read(language)) if all(forms(message.string))]


def names(text: str) -> set[str]:
    return {name for _text, name, _spec, _conversion in Formatter().parse(text) if name is not None}


def test_the_languages_there_are() -> None:
    assert OTHERS == ["de", "es", "fr"]
    assert set(WRONG) == set(PAIRS) == set(OTHERS), "a new language says here which signs it does not write"


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_missing_and_nothing_is_stale(template: Catalog, language: str) -> None:
    said = {message.id: message for message in of(extract.read(language))}
    wanted = {message.id for message in of(template)}
    assert wanted - set(said) == set(), "new texts: `make texts` adds them to the catalogues"
    assert set(said) - wanted == set(), "texts that are gone: `make texts` takes them out"
    assert [message.id for message in said.values() if not all(forms(message.string))] == []
    assert [message.id for message in said.values() if message.fuzzy] == []


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_has_the_same_values_in_it(language: str) -> None:
    catalog = extract.read(language)
    is_for_one_only = c2py(catalog.plural_expr)(0) != 0
    for message in translated(language):
        source = forms(message.id)
        wanted = names(source[-1])
        assert all(names(form) <= wanted for form in source)
        for index, form in enumerate(forms(message.string)):
            assert names(form) <= wanted, message.id
            missing = wanted - names(form)
            may_lack = {"number"} if message.pluralizable and index == 0 and is_for_one_only else set()
            assert missing <= may_lack, message.id
        assert source[-1].count("\n") == forms(message.string)[-1].count("\n"), message.id
        for mark in ("**", "`", "### "):
            assert source[-1].count(mark) == forms(message.string)[-1].count(mark), message.id


@pytest.mark.parametrize("language", OTHERS)
def test_commands_and_code_are_as_in_english(language: str) -> None:
    """People type them, so they are the same in every language."""
    for message in translated(language):
        code = [re.findall(r"`[^`]*`|/[a-z]+\b", form) for form in (*forms(message.id)[-1:], *forms(message.string))]
        if "/motif/" not in str(message.string) and "/pattern/" not in str(message.id):
            assert all(sorted(each) == sorted(code[0]) for each in code), message.id


@pytest.mark.parametrize("language", OTHERS)
def test_plurals_have_as_many_forms_as_the_language(language: str) -> None:
    catalog = extract.read(language)
    assert catalog.num_plurals == get_plural(language).num_plurals
    assert catalog.plural_expr == get_plural(language).plural_expr
    assert all(len(forms(each.string)) == catalog.num_plurals for each in of(catalog) if each.pluralizable)


@pytest.mark.parametrize("language", OTHERS)
def test_command_descriptions_fit(language: str) -> None:
    """Discord takes 100 characters of a description or choice, and 32 of a name in a menu."""
    for message in of(extract.read(language)):
        if any(where == "commands" for where, _line in message.locations):
            assert len(str(message.string)) <= 100, message.id


@pytest.mark.parametrize("language", OTHERS)
def test_sentences_name_a_button_as_it_is_labelled(language: str) -> None:
    said = {str(message.id): str(message.string) for message in translated(language) if not message.pluralizable}
    named = [
        (text, button)
        for text in said
        for button in BUTTONS
        if button in said and re.search(rf"(?:\w |\*\*|“){button}\b", text) and text != button
    ]
    assert len(named) > 10
    assert [text for text, button in named if said[button].lower() not in said[text].lower()] == []


@pytest.mark.parametrize("language", OTHERS)
def test_signs_are_those_of_the_language(language: str) -> None:
    found = []
    for message in translated(language):
        for form in forms(message.string):
            prose = NO_PROSE.sub("x", form)
            is_uneven = any(prose.count(first) != prose.count(last) for first, last in PAIRS[language])
            if WRONG[language].search(prose) or is_uneven or prose != prose.strip() or "  " in prose:
                found.append(form)
    assert found == []


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("fr", "Bonjour !"),
        ("fr", "Modèles :"),
        ("fr", "l'image"),
        ("fr", "« image »"),
        ("es", "Hola!"),
        ("es", "« imagen »"),
        ("es", "“imagen”"),
        ("de", '"Bild"'),
        ("de", "„Bild"),
    ],
)
def test_a_wrong_sign_would_be_seen(language: str, text: str) -> None:
    is_uneven = any(text.count(first) != text.count(last) for first, last in PAIRS[language])
    assert is_uneven or WRONG[language].search(text)


@pytest.mark.parametrize("language", OTHERS)
def test_the_font_of_charts_and_sheets_has_every_sign(language: str) -> None:
    signs = {sign for message in translated(language) for form in forms(message.string) for sign in form} - {"\n"}
    assert len(signs) > 60
    assert {sign for sign in signs if not has_glyph(sign)} == set()


def test_a_broken_catalogue_would_be_seen() -> None:
    """The control: the checks above can fail."""
    assert names("{number} of {total}") == {"number", "total"}
    assert names("{nummer} of {total}") != names("{number} of {total}")
    assert not all(forms(("eins", "")))

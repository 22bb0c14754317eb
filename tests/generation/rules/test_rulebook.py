"""What a rule matches, what it does not match, and what cannot be a rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from generation.errors import InvalidRequestError, NotUtf8Error
from generation.rules.errors import (
    EmptyPatternError,
    NoRuleInFileError,
    PatternUnusableError,
    ReasonTooLongError,
    RuleInFileError,
    RuleInLineError,
    RulesFileError,
    RuleTooLongError,
    RuleWithoutTextError,
    TooManyPatternsError,
    TooManyRulesError,
)
from generation.rules.folding import fold, words
from generation.rules.rule import MAX_RULES, Action, Kind, Rule
from generation.rules.rulebook import Rulebook
from generation.rules.transfer import export_rules, import_rules
from tests.line_counter import steps_of
from tests.messages import is_said

HERE = Path(__file__).parent
EVASIONS = [
    line.encode().decode("unicode_escape") if "\\u" in line else line
    for line in (HERE / "evasions.txt").read_text(encoding="utf-8").splitlines()
]
BENIGN = (HERE / "benign.txt").read_text(encoding="utf-8").splitlines()
TOUCHY = ["ass", "sex", "cock", "rape", "tit", "hell", "cum", "anal", "kill", "gun", "die", "ho", "spic", "coon"]
TOUCHY += ["nude", "wank", "dick", "pussy", "butt", "shit", "penis"]
BENIGN_GERMAN = (HERE / "benign_de.txt").read_text(encoding="utf-8").splitlines()
TOUCHY_GERMAN = ["arsch", "nackt", "sex", "akt", "tot", "mord", "sau", "gift", "waffe", "kind", "kinder", "hure"]
TOUCHY_GERMAN += ["schwanz", "busen", "brust", "nazi", "krieg", "blut", "droge", "junge", "mädchen", "hexe"]
GREMLIN = Rulebook([Rule(text="gremlin")])


def caught(book: Rulebook, text: str) -> list[str]:
    return [hit.rule.text for hit in book.screen([text])]


def test_at_least_33_of_35_spellings_are_caught() -> None:
    missed = [text for text in EVASIONS if not caught(GREMLIN, text)]
    assert len(EVASIONS) == 35
    assert len(missed) <= 2, missed


def test_none_of_200_benign_prompts_is_blocked() -> None:
    book = Rulebook(Rule(text=word) for word in [*TOUCHY, "gremlin"])
    assert len(BENIGN) == 200
    assert {text: found for text in BENIGN if (found := caught(book, text))} == {}
    assert all(caught(book, f"a {word} here") for word in TOUCHY), "the rules must work, or this says nothing"


def test_none_of_100_benign_german_prompts_is_blocked() -> None:
    book = Rulebook(Rule(text=word) for word in TOUCHY_GERMAN)
    assert len(BENIGN_GERMAN) == 100
    assert {text: found for text in BENIGN_GERMAN if (found := caught(book, text))} == {}
    assert all(caught(book, f"ein {word} hier") for word in TOUCHY_GERMAN), "or this says nothing"
    assert sum(any(word in text.lower() for word in TOUCHY_GERMAN) for text in BENIGN_GERMAN) > 50


def test_a_control_that_matches_substrings_would_block_many_of_them() -> None:
    assert sum(any(word in text.lower() for word in TOUCHY) for text in BENIGN) > 100


@pytest.mark.parametrize(
    ("rule", "text", "is_caught"),
    [
        ("red gremlin", "one RED, gremlin!", True),
        ("red gremlin", "a gremlin, red", False),
        ("gremlin*", "many gremlins", True),
        ("gremlin", "many gremlins", False),
        ("red gremlin*", "red gremlins", True),
        ("война", "ВОЙНА и мир", True),
        ("爆弾", "大きな爆弾の絵", True),
        ("straße", "eine STRASSE", True),
        ("rock'n'roll", "rock n roll", True),
        ("xxx", "xxx", True),
    ],
)
def test_words(rule: str, text: str, is_caught: bool) -> None:
    assert bool(caught(Rulebook([Rule(text=rule)]), text)) is is_caught


def test_a_pattern_sees_the_text_as_typed_and_as_folded() -> None:
    book = Rulebook([Rule(kind=Kind.PATTERN, text=r"\bgrem(lin|let)s?\b"), Rule(kind=Kind.PATTERN, text="ä{2}")])
    assert caught(book, "GREMLETS") == [r"\bgrem(lin|let)s?\b"]
    assert caught(book, "grеmlіns") == [r"\bgrem(lin|let)s?\b"]
    assert caught(book, "ÄÄ") == ["ä{2}"]
    assert caught(book, "nothing") == []


def test_scope_and_order() -> None:
    here = Rule(text="cat", channel_ids=(5,), action=Action.WARN)
    some = Rule(text="cat", role_ids=(7,), reason="no cats")
    book = Rulebook([here, some])
    assert book.screen(["cat"]) == ()
    assert [hit.rule for hit in book.screen(["a", "cat"], channel_ids=(4, 5), role_ids=(7,))] == [some, here]
    assert [hit.rule for hit in book.screen(["cat"], channel_ids=(5,))] == [here]


A_LOOKAHEAD = PatternUnusableError(text="a(?=b)", reason="invalid perl operator: (?=")


@pytest.mark.parametrize(
    ("rule", "kind", "why"),
    [
        ({"kind": Kind.PATTERN, "text": "a(?=b)"}, PatternUnusableError, "invalid perl operator: (?="),
        ({"kind": Kind.PATTERN, "text": r"(a)\1"}, PatternUnusableError, "invalid escape sequence"),
        ({"kind": Kind.PATTERN, "text": ""}, EmptyPatternError, ""),
        ({"kind": Kind.PATTERN, "text": "(a{1000}){1000}"}, PatternUnusableError, "invalid repetition size"),
        ({"text": "!?"}, RuleWithoutTextError, ""),
        ({"text": "a" * 201}, RuleTooLongError, "at most 200"),
        ({"text": "a", "reason": "a" * 201}, ReasonTooLongError, "at most 200"),
    ],
)
def test_an_invalid_rule_is_refused_with_the_reason(
    rule: dict[str, Any], kind: type[InvalidRequestError], why: str
) -> None:
    with pytest.raises(kind) as refused:
        Rule(**rule)
    assert why in str(refused.value)


def test_a_pattern_that_matches_everything_is_known() -> None:
    assert Rule(kind=Kind.PATTERN, text="a*").matches_everything
    assert not Rule(kind=Kind.PATTERN, text="a+").matches_everything


def test_ten_thousand_rules_are_the_most() -> None:
    many = [Rule(text=f"word{number}x") for number in range(MAX_RULES)]
    book = Rulebook(many)
    assert caught(book, "a word9999x " * 80) == ["word9999x"]
    with pytest.raises(TooManyRulesError, match="at most 10000 rules, not 10001"):
        Rulebook([*many, Rule(text="more")])
    with pytest.raises(TooManyPatternsError, match="at most 500 patterns"):
        Rulebook(Rule(kind=Kind.PATTERN, text=f"a{number}") for number in range(501))


@pytest.mark.parametrize("nasty", ["a" * 1500, "1" * 1500, ":" + "1" * 1500, "(" * 1500, "a " * 750, "&" * 1500])
def test_no_text_takes_long(nasty: str) -> None:
    book = Rulebook([Rule(kind=Kind.PATTERN, text="(a+)+$"), Rule(text="gremlin")])
    book.screen([nasty + "!"])  # tables of characters are filled
    assert steps_of(lambda: book.screen([nasty + "!"])) < 20 * len(nasty)


def test_a_file_is_read_back_and_a_list_of_words_is_taken() -> None:
    rules = [Rule(text="Größe", reason="so"), Rule(kind=Kind.PATTERN, text="a+b", action=Action.WARN, channel_ids=(1,))]
    assert import_rules(export_rules(rules)) == rules
    assert import_rules(b"# mine\n\ngremlin\n/gob+lin/\ngremlin\n") == [
        Rule(text="gremlin"),
        Rule(kind=Kind.PATTERN, text="gob+lin"),
    ]


@pytest.mark.parametrize(
    ("data", "kind", "details"),
    [
        ("größe".encode("latin-1"), NotUtf8Error, {"byte": 2}),
        (b"", NoRuleInFileError, {}),
        (b"ok\n/a(?=b)/", RuleInLineError, {"number": 2, "reason": A_LOOKAHEAD.phrase}),
        (b'{"rules": [], "colour": 1}', RulesFileError, {}),
        (b'{"rules": [{"text": "!"}]}', RuleInFileError, {"reason": RuleWithoutTextError().phrase}),
        (b'{"rules": 7', RulesFileError, {}),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    data: bytes, kind: type[InvalidRequestError], details: dict[str, object]
) -> None:
    with pytest.raises(kind) as refused:
        import_rules(data)
    assert is_said(kind, str(refused.value), **details)


def test_folding_leaves_ordinary_text_as_it_is() -> None:
    assert " ".join(words(fold("A red circle, on 50% grey"))) == "a red circle on 50 grey"

"""The texts of a request other than its prompts: the names of the files that it calls."""

from __future__ import annotations

import pytest

from generation.policy.policy import collect_texts
from generation.requests.prompt_addons import Adapter, Embedding
from generation.requests.spec import GenerationRequest
from generation.rules.folding import words_of_name
from generation.rules.rule import Rule
from generation.rules.rulebook import Rulebook
from tests.generation.service_harness import spec

SHA = "a" * 64
BOOK = Rulebook([Rule(text="gremlin")])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("GremlinStyle_v2", "Gremlin Style v 2"),
        ("XLGremlin", "XL Gremlin"),
        ("gremlin2", "gremlin 2"),
        ("2gremlin", "2 gremlin"),
        ("ink-gremlin", "ink-gremlin"),
        ("gr3mlin", "gr 3 mlin"),  # as it is it is looked at, too
        ("ГремлинСтиль", "ГремлинСтиль"),
    ],
)
def test_a_name_in_words(name: str, words: str) -> None:
    assert words_of_name(name) == words


@pytest.mark.parametrize("name", ["gremlin", "GremlinStyle_v2", "XLGremlin", "gr3mlin", "my_gremlin", "2gremlin"])
def test_every_name_is_screened(name: str) -> None:
    for called in (
        spec(adapters=(Adapter(name, SHA, 0.5),)),
        spec(embeddings=(Embedding(name, SHA),)),
        spec(model=name),
    ):
        assert BOOK.matches(collect_texts(GenerationRequest(spec=called), default_model="paintbox"))


def test_the_name_of_the_default_model_is_not_screened() -> None:
    assert not BOOK.matches(collect_texts(GenerationRequest(spec=spec(model="gremlin")), default_model="gremlin"))


def test_names_count_on_the_side_they_are_called_on() -> None:
    """For the rule that no one can change: one name in each prompt is no conjunction."""
    called = spec("a tree by alpha", negative="beta", embeddings=(Embedding("Alpha", SHA), Embedding("Beta", SHA)))
    assert called.said == ("a tree by alpha Alpha", "beta Beta")
    assert spec("a tree", adapters=(Adapter("AlphaInk", SHA, 0.5),)).said == ("a tree Alpha Ink", "")

"""The pages of the site of `make docs`: each is in it, lists stay lists, links are checked, sentences are short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.project.test_docs import PAGES, ROOT
from tools import docs_site, prose

CODE = [
    path.read_text(encoding="utf-8") for room in ("cli", "db", "generation") for path in (ROOT / room).rglob("*.py")
]


def test_every_page_is_in_the_navigation_once() -> None:
    shown = docs_site.list_navigation()
    pages = [page.relative_to(ROOT).as_posix() for page in docs_site.list_pages()]
    made = f"{docs_site.RECORDS}/README.md"
    assert set(shown) == {*pages, made}, "docs/site.toml says by whom a page is read"
    assert len(shown) == len(set(shown))
    assert {ROOT / page for page in pages} == set(PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_have_20_words_at_most_on_average(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    longest = max(prose.list_sentences(text), key=lambda each: len(each.split()), default="")
    assert prose.average_words(text) <= prose.LIMIT, f"the longest: {longest}"


def test_sentences_are_counted_as_they_are_read() -> None:
    text = "# No sentence at all, only a heading\n\nOne two three `a b c d` five [six](x.md).\nSix: one two three\n"
    text += "four five. Too short.\n\n```\ncode is never counted here at all\n```\n- one two three four five six\n"
    assert [len(each.split()) for each in prose.list_sentences(text)] == [6, 6, 6]
    assert prose.average_words("word " * 21) > prose.LIMIT


def test_lists_and_what_belongs_to_an_item_are_read_alike() -> None:
    text = (
        "Text:\n- one\n  more\n- two\n\n1. three\n\n   ```\n   code\n     deep\n   ```\n```\n- no list\n  yaml\n```\n"
    )
    assert docs_site.adapt(text) == (
        "Text:\n\n- one\n    more\n- two\n\n1. three\n\n    ```\n    code\n      deep\n    ```\n"
        "```\n- no list\n  yaml\n```\n"
    )


def test_broken_links_of_a_site_are_found(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "index.html").write_text('<h1 id="begin">x</h1><img src="../gone.png">')
    links = ("there/", "there/#begin", "there/#gone", "#own", "nowhere/", "https://example.org/x", "/there/")
    page = "".join(f'<a href="{link}">x</a>' for link in links)
    (tmp_path / "index.html").write_text(f'<p id="own">{page}</p>')
    broken = ["index.html: nowhere/", "index.html: there/#gone", "there/index.html: ../gone.png"]
    assert sorted(docs_site.list_broken_links(tmp_path)) == broken


def test_the_messages_of_the_troubleshooting_page_are_those_of_the_program() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    pieces = [piece.strip(" .") for quoted in re.findall(r"“([^”]+)”", page) for piece in quoted.split("…")]
    told = [piece for piece in pieces if len(piece) > 7]
    assert len(told) > 30
    assert [piece for piece in told if not any(piece in text for text in CODE)] == []

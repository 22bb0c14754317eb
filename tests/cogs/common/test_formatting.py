"""Formatting: escaping, times and bars."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogs.common.formatting import (
    BAR_CELLS,
    bind_words,
    draw_bar,
    escape_markdown,
    format_bytes,
    format_duration,
    format_link,
    format_pictures,
    join_dotted,
    make_slug,
)
from cogs.common.message_limits import format_code
from cogs.i18n.gettext import use_language


@given(st.text())
def test_escaped_text_holds_no_live_markdown_or_mention(text: str) -> None:
    shown = escape_markdown(text)
    assert re.sub(r"\\.", "", shown, flags=re.DOTALL).translate(str.maketrans("", "", "*_~|`<>[]()@#:/")) == re.sub(
        r"\\.", "", shown, flags=re.DOTALL
    )
    assert len(shown) <= 600


@given(st.text(alphabet="`ab\n", max_size=50))
def test_nothing_breaks_out_of_a_code_block(text: str) -> None:
    assert format_code(text).count("```") == 2


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "about a second"), (8.2, "about 8 sec"), (43, "about 45 sec"), (200, "about 3 min"), (9000, "about 2 hr")],
)
def test_times_are_as_exact_as_they_are_true(seconds: float, said: str) -> None:
    assert format_duration(seconds) == said


@given(st.floats(-1, 2))
def test_the_bar_always_has_its_width(progress: float) -> None:
    assert len(draw_bar(progress)) == BAR_CELLS + 2


def test_the_bar_is_empty_half_and_full() -> None:
    assert draw_bar(0) == "`" + "·" * 16 + "`"
    assert draw_bar(0.5) == "`" + "█" * 8 + "·" * 8 + "`"
    assert draw_bar(1) == "`" + "█" * 16 + "`"


def test_names_of_files_and_numbers() -> None:
    assert make_slug("A red Circle, on blue!") == "a-red-circle-on-blue"
    assert make_slug("红色") == "picture"
    assert format_pictures(1) == "1 picture"
    assert format_pictures(1200) == "1,200 pictures"


def test_a_line_ends_with_a_dot_and_never_begins_with_one() -> None:
    line = join_dotted((bind_words("20 steps"), "for all"))
    assert line.split(" ") == ["20\u00a0steps\u00a0·", "for", "all"]


@pytest.mark.parametrize(
    ("number", "english", "german"),
    [(2_400_000, "2 MB", "2 MB"), (19_400_000, "19 MB", "19 MB"), (2_132_000_000, "2.1 GB", "2,1 GB")],
)
def test_bytes_are_written_short(number: int, english: str, german: str) -> None:
    assert format_bytes(number).replace("\u00a0", " ") == english
    with use_language("de"):
        assert format_bytes(number).replace("\u00a0", " ") == german


@pytest.mark.parametrize(
    ("page", "is_link"),
    [
        ("https://civitai.com/models/1?modelVersionId=2", True),
        ("https://huggingface.co/owner/name", True),
        ("http://example.org", False),
        ("javascript:x", False),
        ("https://a.b/> <@1> @everyone", False),
        ("https://a.b/\n# x", False),
    ],
)
def test_only_an_address_that_ends_where_it_says_becomes_a_link(page: str, is_link: bool) -> None:
    shown = format_link(page)
    assert (shown == f"<{page}>") == is_link
    assert is_link or "@everyone" not in shown.replace("\\@", "")

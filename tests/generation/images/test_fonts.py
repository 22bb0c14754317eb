"""The bundled font draws names as members write them, and a box for what it lacks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.images.fonts import MISSING, has_glyph, load_font, make_drawable

NAMES = (
    "Zoë",
    "Łukasz",
    "İbrahim Çelik",
    "Nguyễn Văn",
    "Þór",
    "Ольга",
    "Γιώργος",
    "ქეთი",
    "Արամ",
    "محمد",
    "דוד",
    "★ ada ♥",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_drawn_as_it_is_written(name: str) -> None:
    assert make_drawable(name) == name


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("山田太郎", MISSING * 4),
        ("𝓐𝓭𝓪", "Ada"),
        ("Ａｄａ", "Ada"),
        ("ada 🎨", f"ada {MISSING}"),
        ("👩\u200d👩\u200d👧", MISSING),
        ("👍🏽", MISSING),
        ("❤\ufe0f ada", "❤ ada"),
        ("e\u0301", "é"),
        ("a\u202eb\u200f", "ab"),
        ("a\nb\0", "a b"),
        ("\ud800", MISSING),
        ("", ""),
    ],
)
def test_what_the_font_lacks_is_a_box(name: str, drawn: str) -> None:
    assert make_drawable(name) == drawn


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_every_text_can_be_drawn(text: str) -> None:
    drawn = make_drawable(text)
    assert all(has_glyph(char) for char in drawn)
    load_font(20).getmask(drawn or " ")
    assert make_drawable(drawn) == drawn


def test_a_missing_glyph_would_be_seen() -> None:
    assert not has_glyph("山") and not has_glyph("🎨")
    assert has_glyph("\N{NARROW NO-BREAK SPACE}") and has_glyph(MISSING)

"""The sheet of a comparison, and words on pictures: they stay in their room, and are never drawn as boxes."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from generation.images.fonts import can_draw, load_font
from generation.images.iptc import SourceType, parse_source_type
from generation.images.lettering import cut_to_width, wrap_to_width
from generation.images.sheet import SIDE_PX, Sheet, SheetCell, draw_sheet

RED, GREY = (200, 30, 30), (49, 51, 61)
TEXT = st.text(st.sampled_from("a b.Wжä—"), max_size=200)


def png(size: tuple[int, int] = (64, 64)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, RED).save(buffer, "PNG")
    return buffer.getvalue()


def drawn(*cells: SheetCell, columns: tuple[str, ...], rows: tuple[str, ...] = ()) -> Image.Image:
    return Image.open(io.BytesIO(draw_sheet(Sheet(cells=cells, columns=columns, rows=rows)))).convert("RGB")


def is_near(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 12 for a, b in zip(one, other, strict=True))


def test_a_picture_is_where_its_row_and_column_meet() -> None:
    cells = [SheetCell(png()), *[SheetCell(None, "withheld")] * 5]
    sheet = drawn(*cells, columns=("3", "5", "7"), rows=("Euler", "Heun"))
    colours: list[Any] = [
        sheet.getpixel((16 + 280 + column * (SIDE_PX + 8) + 40, 16 + 100 + row * (SIDE_PX + 8) + 300))
        for row in range(2)
        for column in range(3)
    ]
    assert is_near(colours[0], RED) and all(is_near(each, GREY) for each in colours[1:])


@pytest.mark.parametrize("number", range(2, 10))
def test_every_number_of_cells_in_one_row_fits(number: int) -> None:
    sheet = drawn(*[SheetCell(png())] * number, columns=tuple(map(str, range(number))))
    assert sheet.width < 1600 and sheet.height < 1600


@settings(max_examples=6, deadline=None)
@given(st.lists(TEXT, min_size=6, max_size=6), st.sampled_from(((64, 64), (2048, 64), (64, 2048))))
def test_labels_of_any_length_leave_the_size_as_it_is(labels: list[str], size: tuple[int, int]) -> None:
    cells = [SheetCell(png(size)), SheetCell(None, labels[5]), *[SheetCell(png((64, 64)))] * 4]
    words = drawn(*cells, columns=tuple(labels[:3]), rows=tuple(labels[3:5]))
    plain = drawn(*cells, columns=("a",) * 3, rows=("b",) * 2)
    assert words.size == plain.size


def test_it_says_that_no_hand_made_it() -> None:
    data = draw_sheet(Sheet(cells=(SheetCell(png()),) * 2, columns=("a", "b")))
    assert data.startswith(b"\xff\xd8") and parse_source_type(data) == SourceType.GENERATED


@pytest.mark.parametrize(
    ("text", "is_there"),
    [
        ("Euler a, 20 × 3.5 …", True),
        ("Füchse, лиса, αλεπού, żółw", True),
        ("雪の中の狐", False),
        ("🦊", False),
        ("", True),
    ],
)
def test_letters_that_the_font_lacks_are_known(text: str, is_there: bool) -> None:
    assert can_draw(text) is is_there


def test_what_cannot_be_written_is_a_number() -> None:
    cells = (SheetCell(png()),) * 2
    far, near = (draw_sheet(Sheet(cells=cells, columns=each)) for each in (("雪", "a"), ("1", "a")))
    assert far == near


@given(TEXT, st.integers(40, 400))
def test_lines_are_never_wider_than_their_room(text: str, width_px: int) -> None:
    font = load_font(24)
    assert font.getlength(cut_to_width(text, font, width_px)) <= width_px
    lines = wrap_to_width(text, font, width_px, most=3)
    assert len(lines) <= 3 and all(font.getlength(line) <= width_px for line in lines)
    if not any(line.endswith("…") for line in lines):
        assert " ".join(lines).split() == text.split()

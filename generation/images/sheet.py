"""The sheet of a comparison: pictures in rows and columns, with the words that tell them apart. Pure."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image as PillowImage
from PIL import ImageDraw

from generation.images.fonts import can_draw, load_font, make_drawable
from generation.images.iptc import GENERATED_XMP
from generation.images.lettering import cut_to_width, wrap_to_width

SIDE_PX = 360
"""The longer side of a picture on the sheet, at most."""
MAX_WRAPPED = 4
"""Pictures of one row that stand beside each other; more stand in nearly as many columns as rows."""
_GAP_PX, _MARGIN_PX, _HEAD_PX, _SIDE_PX = 8, 16, 100, 280
_LETTERS_PX, _LINE_PX, _NUMBER_PX = 36, 42, 28
_MAX_LINES, _MAX_LINES_OF_ROW = 2, 5
_PAPER, _EMPTY, _TEXT, _QUIET, _BADGE = "#1e1f26", "#31333d", "#f2f3f7", "#9a9db0", "#000000"


@dataclass(frozen=True, slots=True)
class SheetCell:
    """A picture (PNG), or the words for why there is none."""

    png: bytes | None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Cells row by row. Without `rows`, each cell has its own label above it."""

    cells: tuple[SheetCell, ...]
    columns: tuple[str, ...]
    rows: tuple[str, ...] = ()


def draw_sheet(sheet: Sheet) -> bytes:
    """Return the sheet as a JPEG. A label that the font cannot write is the number of its row or column."""
    across = len(sheet.columns) if sheet.rows or len(sheet.cells) <= MAX_WRAPPED else _wrap(len(sheet.cells))
    pictures = [_open(cell.png) for cell in sheet.cells]
    cell_px = _fit_cells([each.size for each in pictures if each is not None])
    left = _MARGIN_PX + (_SIDE_PX if sheet.rows else 0)
    num_rows = -(-len(sheet.cells) // across)
    num_heads = 1 if sheet.rows else num_rows
    width = left + across * (cell_px[0] + _GAP_PX) - _GAP_PX + _MARGIN_PX
    height = 2 * _MARGIN_PX + num_heads * _HEAD_PX + num_rows * (cell_px[1] + _GAP_PX) - _GAP_PX
    paper = PillowImage.new("RGB", (width, height), _PAPER)
    pen = _Pen(paper, cell_px)
    for index, (cell, picture) in enumerate(zip(sheet.cells, pictures, strict=True)):
        row, column = divmod(index, across)
        x = left + column * (cell_px[0] + _GAP_PX)
        y = _MARGIN_PX + _HEAD_PX * (1 if sheet.rows else row + 1) + row * (cell_px[1] + _GAP_PX)
        if not sheet.rows or row == 0:
            pen.column_label((x, y), _choose_label(sheet.columns, column if sheet.rows else index))
        if sheet.rows and column == 0:
            pen.row_label((_MARGIN_PX, y), _choose_label(sheet.rows, row))
        pen.cell((x, y), picture, cell.why, index + 1)
    buffer = io.BytesIO()
    paper.save(buffer, "JPEG", quality=90, xmp=GENERATED_XMP.encode())
    return buffer.getvalue()


def _wrap(number: int) -> int:
    return next(across for across in range(1, number + 1) if across * across >= number)


def _open(png: bytes | None) -> PillowImage.Image | None:
    return None if png is None else PillowImage.open(io.BytesIO(png), formats=("PNG",)).convert("RGB")


def _fit_cells(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the size of a cell in which every picture fits when its longer side is `SIDE_PX`."""
    if not sizes:
        return SIDE_PX, SIDE_PX
    fitted = [_fit(size) for size in sizes]
    return max(width for width, _ in fitted), max(height for _, height in fitted)


def _fit(size: tuple[int, int]) -> tuple[int, int]:
    longer = max(size)
    return max(1, round(size[0] * SIDE_PX / longer)), max(1, round(size[1] * SIDE_PX / longer))


def _choose_label(labels: Sequence[str], index: int) -> str:
    label = labels[index]
    return make_drawable(label) if can_draw(label) else str(index + 1)


class _Pen:
    """Draws labels and cells on the paper."""

    def __init__(self, paper: PillowImage.Image, cell_px: tuple[int, int]) -> None:
        self._paper, self._draw, self._cell_px = paper, ImageDraw.Draw(paper), cell_px
        self._font = load_font(_LETTERS_PX)

    def column_label(self, cell: tuple[int, int], text: str) -> None:
        """Write above a cell: the last line stands on it."""
        lines = wrap_to_width(text, self._font, self._cell_px[0], most=_MAX_LINES)
        self._write((cell[0], cell[1] - _LINE_PX * len(lines) - _GAP_PX // 2), lines)

    def row_label(self, at: tuple[int, int], text: str) -> None:
        """Write beside a row, in the middle of its height."""
        lines = wrap_to_width(text, self._font, _SIDE_PX - 2 * _GAP_PX, most=_MAX_LINES_OF_ROW)
        self._write((at[0], at[1] + (self._cell_px[1] - _LINE_PX * len(lines)) // 2), lines)

    def _write(self, at: tuple[int, int], lines: Sequence[str]) -> None:
        for number, line in enumerate(lines):
            self._draw.text((at[0], at[1] + number * _LINE_PX), line, _TEXT, self._font)

    def cell(self, at: tuple[int, int], picture: PillowImage.Image | None, why: str, number: int) -> None:
        (x, y), (width, height) = at, self._cell_px
        if picture is None:
            self._draw.rectangle((x, y, x + width - 1, y + height - 1), _EMPTY)
            self._write_why(at, why)
        else:
            scaled = picture.resize(_fit(picture.size), PillowImage.Resampling.LANCZOS)
            self._paper.paste(scaled, (x + (width - scaled.width) // 2, y + (height - scaled.height) // 2))
        self._write_number(at, str(number))

    def _write_why(self, at: tuple[int, int], why: str) -> None:
        width, height = self._cell_px
        if can_draw(why):
            line = cut_to_width(make_drawable(why), self._font, width - 2 * _GAP_PX)
            self._draw.text((at[0] + width / 2, at[1] + height / 2), line, _QUIET, self._font, anchor="mm")

    def _write_number(self, at: tuple[int, int], number: str) -> None:
        """Write the number that buttons and menus name the picture by."""
        font, (x, y) = load_font(_NUMBER_PX), at
        side = _NUMBER_PX + _GAP_PX
        self._draw.rectangle((x, y, x + side, y + side), _BADGE)
        self._draw.text((x + side / 2, y + side / 2), number, _TEXT, font, anchor="mm")

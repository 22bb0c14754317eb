"""How the pictures of a comparison lie in rows and columns, and by what they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from msgspec import UnsetType

from generation.requests.errors import ComparisonError
from generation.requests.ranges import MAX_COUNT

MAX_CELLS = MAX_COUNT - 1
"""A message of Discord takes ten files: the sheet, and the pictures."""


class Axis(StrEnum):
    """What is compared. Stored, so no value changes. Where two are, the first of them here is that of the rows."""

    PROMPT = "prompt"
    MODEL = "model"
    LORA = "lora"
    SAMPLER = "sampler"
    STEPS = "steps"
    GUIDANCE = "guidance"
    SEED = "seed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One or two axes. The pictures lie row by row, `num_columns` in a row; without `rows`, all in one.

    Their specs are the `cells` of a request, whose `spec` is the first of them. Other requests have neither,
    and nothing of it is written.
    """

    columns: Axis
    num_columns: int
    rows: Axis | None = None

    @property
    def axes(self) -> tuple[Axis, ...]:
        return (self.columns,) if self.rows is None else (self.rows, self.columns)


def require_layout(layout: Comparison | UnsetType, cells: Sequence[object], *, first: object, count: int) -> None:
    """Raise `ComparisonError` unless `count` cells fill the rows, beginning with the first."""
    if isinstance(layout, UnsetType) or not 2 <= count <= MAX_CELLS or layout.columns == layout.rows:
        raise ComparisonError(most=MAX_CELLS)
    across = layout.num_columns
    is_full = across == count if layout.rows is None else 1 < across < count and count % across == 0
    if not is_full or len(cells) != count or cells[0] != first:
        raise ComparisonError(most=MAX_CELLS)

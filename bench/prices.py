"""`prices`: what pictures cost with each family, as a table for docs/fairness.md.

Computed from `generation.requests.cost.WORK`, in standard steps of one picture with guidance. Nothing is run.

    python -m bench prices [--json] [--write docs/fairness.md]

Keys: by title of family, the standard steps by side in pixels, and those done once: `text`, `decode` and `encode`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench.card import replaced
from generation.models.families import FAMILIES
from generation.requests.cost import BY_PIXELS, UNITS_PER_ROW_EVALUATION, UNITS_PER_STEP, Work

BEGIN, END = "<!-- bench prices: begin -->", "<!-- bench prices: end -->"
SIDES_PX = (512, 768, 1024, 1536)
_KEYS = (*SIDES_PX, "text", "decode", "encode")
_BUILT_IN = "the built-in model"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench prices")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--write", type=Path, help="put the table into this page")
    options = parser.parse_args(argv)
    if options.write is not None:
        page = options.write.read_text(encoding="utf-8")
        options.write.write_text(replaced(page, table(), BEGIN, END), encoding="utf-8")
    if not options.json:
        print(table())
    print(json.dumps({title: dict(zip(_KEYS, steps, strict=True)) for title, steps in _list_prices().items()}))
    return 0


def table() -> str:
    """Return the prices of each family in standard steps, as a table. Families of one price share a row."""
    by_price: dict[tuple[str, ...], list[str]] = {}
    for title, steps in _list_prices().items():
        by_price.setdefault(tuple(map(_round, steps)), []).append(title)
    rows = [f"| {', '.join(titles)} | {' | '.join(steps)} |" for steps, titles in by_price.items()]
    sides = " | ".join(f"{side} × {side}" for side in SIDES_PX)
    ends = "both prompts | decoding, each 512 × 512 | encoding, each 512 × 512"
    return "\n".join((f"| a step of | {sides} | {ends} |", "|---|" + "---|" * len(_KEYS), *rows))


def _list_prices() -> dict[str, list[float]]:
    by_size = sorted(FAMILIES.values(), key=lambda family: family.work.of(SIDES_PX[0], SIDES_PX[0]))
    return {family.title: _list_steps(family.work) for family in by_size} | {_BUILT_IN: _list_steps(BY_PIXELS)}


def _list_steps(work: Work) -> list[float]:
    """Return the standard steps of a step with guidance, which are two rows, by size, and of what is done once."""
    evaluations = [*(2 * work.of(side, side) for side in SIDES_PX), 2 * work.text, work.decode, work.encode]
    return [each * UNITS_PER_ROW_EVALUATION / UNITS_PER_STEP for each in evaluations]


def _round(steps: float) -> str:
    """Return two digits that count."""
    return f"{steps:.2g}" if steps < 100 else f"{round(steps, -1):.0f}"

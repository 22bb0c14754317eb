"""`python -m training.paintbox.curves OUT.png RUNS [RUNS ...]`: draws the loss curves of runs beside each other.

A panel for each lesson that every run has begun: the loss, on a logarithmic scale, against the steps.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

_WIDTH: Final = 360
_HEIGHT: Final = 220
_LEFT: Final = 52
_RIGHT: Final = 14
_TOP: Final = 30
_BOTTOM: Final = 26
_COLOURS: Final = ("#2f6fde", "#d9722b", "#2f9e5b", "#8a4fd0")
_SMOOTH: Final = 5
"""Points of a curve, of twenty steps each, that are shown as one."""

Curve = list[tuple[int, float]]


def read(file: Path) -> Curve:
    """Return (step, loss) as `training.loop` wrote them; for a resumed lesson, the last written of a step."""
    lines = (line.split("\t") for line in file.read_text().splitlines())
    points = sorted({int(step): float(loss) for step, loss in lines}.items())
    return list(_smoothed(points))


def _smoothed(points: Curve) -> Iterator[tuple[int, float]]:
    for start in range(0, len(points), _SMOOTH):
        part = points[start : start + _SMOOTH]
        yield part[-1][0], sum(loss for _, loss in part) / len(part)


def draw(panels: dict[str, list[Curve]], names: Sequence[str]) -> Image.Image:
    """Draw all panels side by side; one colour for each run, named under the first."""
    sheet = Image.new("RGB", (_WIDTH * len(panels), _HEIGHT), "white")
    for number, (lesson, curves) in enumerate(panels.items()):
        sheet.paste(_panel(lesson, curves, names), (_WIDTH * number, 0))
    return sheet


def _panel(lesson: str, curves: list[Curve], names: Sequence[str]) -> Image.Image:
    panel = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    pen, font = ImageDraw.Draw(panel), ImageFont.load_default(12)
    last = max(step for curve in curves for step, _ in curve)
    losses = [loss for curve in curves for _, loss in curve]
    low, high = math.log(min(losses)), math.log(max(losses))
    wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(step: int, loss: float) -> tuple[float, float]:
        up = (math.log(loss) - low) / max(high - low, 1e-9)
        return _LEFT + wide * step / last, _TOP + tall * (1 - up)

    pen.rectangle((_LEFT, _TOP, _LEFT + wide, _TOP + tall), outline="#c8c8c8")
    pen.text((_LEFT, 8), lesson, "#202020", font)
    for loss in (min(losses), max(losses)):
        pen.text((_LEFT - 6, place(0, loss)[1]), f"{loss:.3g}", "#606060", font, anchor="rm")
    pen.text((_LEFT + wide, _HEIGHT - 8), f"{last:,} steps", "#606060", font, anchor="rb")
    for number, curve in enumerate(curves):
        colour = _COLOURS[number % len(_COLOURS)]
        pen.line([place(*point) for point in curve], colour, 2)
        pen.text((_LEFT + wide - 8, _TOP + 8 + 16 * number), names[number], colour, font, anchor="ra")
    return panel


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.paintbox.curves", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--names", nargs="+", help="of the runs; their folders' names if left out")
    args = parser.parse_args()
    lessons = sorted(file.stem for file in args.runs[0].glob("*.tsv"))
    shared = [lesson for lesson in lessons if all((run / f"{lesson}.tsv").exists() for run in args.runs)]
    panels = {lesson: [read(run / f"{lesson}.tsv") for run in args.runs] for lesson in shared}
    draw(panels, args.names or [run.name for run in args.runs]).save(args.out, optimize=True)


if __name__ == "__main__":
    main()

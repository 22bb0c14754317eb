"""Curves of training runs are read as written, and drawn beside each other."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.paintbox import curves


def test_the_last_value_of_a_step_counts(tmp_path: Path) -> None:
    """A lesson that was cut off goes on from its checkpoint, and writes some steps again."""
    file = tmp_path / "vae.tsv"
    file.write_text(
        "".join(f"{step}\t{loss}\n" for step, loss in [(20, 8.0), (40, 9.0), (60, 7.0), (40, 3.0), (60, 1.0)])
    )
    assert curves.read(file) == [(60, 4.0)]


def test_a_faster_run_is_drawn_below(tmp_path: Path) -> None:
    slow = [(step, 1.0 / (1 + step / 1000)) for step in range(0, 2000, 100)]
    fast = [(step, loss / (1 + step / 400)) for step, loss in slow]
    sheet = curves.draw({"unet": [slow, fast], "vae": [slow, fast]}, ["slow", "fast"])
    half = np.asarray(sheet.crop((0, 0, sheet.width // 2, sheet.height))).astype(int)
    heights = []
    for colour in curves._COLOURS[:2]:
        wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
        rows, columns = np.nonzero((half == wanted).all(2))
        heights.append(rows[columns > half.shape[1] * 0.9].mean())
    assert heights[0] < heights[1], "higher on the sheet is a smaller row"


def test_lessons_that_both_runs_have_begun_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for run, lessons in (("a", ("vae", "unet")), ("b", ("vae",))):
        (tmp_path / run).mkdir()
        for lesson in lessons:
            (tmp_path / run / f"{lesson}.tsv").write_text("20\t1.0\n120\t0.5\n")
    out = tmp_path / "curves.png"
    monkeypatch.setattr("sys.argv", ["curves", str(out), str(tmp_path / "a"), str(tmp_path / "b")])
    curves.main()
    with Image.open(out) as picture:
        assert picture.width == curves._WIDTH

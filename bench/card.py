"""`card`: measures everything that needs a graphics card in one run, as the table of docs/performance.md.

Runs `throughput`, `memory`, `graphs` and `exact` for the shapes of Stable Diffusion 1.5 and XL with random weights
(nothing is downloaded), each in a process of its own, and prints the table; `--write` puts it into the page in place
of the last.

    python -m bench card [--write docs/performance.md] [--json] [--toy]   (toy: that it works, on a processor)

Keys: by shape `images_per_s`, `ratio_serial`, `ratio_batched`, `share_of_peak`, `padding`, `p95_s`, `peak_mb` by memory
mode for one picture, and `graphs` as `bench graphs` has them (null on a processor); `exact` with `images`, `differing`,
`control_differing`; `device`, `dtype`, `torch`. Ends with status 1 if a picture or a forward differed.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- bench card: begin -->", "<!-- bench card: end -->"
_FIGURES = ("images_per_s", "ratio_serial", "ratio_batched", "share_of_peak", "padding", "p95_s")


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's shape, and the requests for it."""

    name: str
    title: str
    side_px: int
    users: int
    interleavings: int
    graphs: str
    """The buckets that are tried with CUDA graphs and without, and pictures at once."""

    def throughput(self, rounds: int) -> list[str]:
        asked = ["--side", str(self.side_px), "--steps", "20", "--users", str(self.users), "--rounds", str(rounds)]
        return ["throughput", "--shape", self.name, *asked]

    def memory(self) -> list[str]:
        return ["memory", "--shape", self.name, "--side", str(self.side_px), "--together", "1"]

    def compare_graphs(self, rounds: int) -> list[str]:
        asked = f"--side {self.side_px} --rounds {rounds} {self.graphs}"
        return ["graphs", "--shape", self.name, *asked.split()]


_SMALL, _LARGE = "--rows 1 2 4 8 16 --together 8", "--rows 1 2 4 --together 2"
SD15 = Shape("sd15", "Stable Diffusion 1.5, 512 px", side_px=512, users=16, interleavings=20, graphs=_SMALL)
SDXL = Shape("sdxl", "Stable Diffusion XL, 1024 px", side_px=1024, users=8, interleavings=0, graphs=_LARGE)
TOY = Shape("toy", "a toy, 64 px", side_px=64, users=4, interleavings=2, graphs=_LARGE)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench card", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--write", type=Path, help="the page whose table is replaced")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--toy", action="store_true", help="a toy in place of the real shapes")
    options = parser.parse_args(argv)
    shapes = (TOY,) if options.toy else (SD15, SDXL)
    figures = measure(shapes, rounds=options.rounds)
    text = table(shapes, figures)
    if options.write is not None:
        options.write.write_text(replaced(options.write.read_text(encoding="utf-8"), text), encoding="utf-8")
    if not options.json:
        print(text)
    print(json.dumps(figures))
    return 1 if figures["exact"]["differing"] or any(map(_differs_by_graph, shapes, [figures] * len(shapes))) else 0


def _differs_by_graph(shape: Shape, figures: dict[str, Any]) -> bool:
    graphs = figures[shape.name]["graphs"]
    return graphs is not None and (graphs["differing"] > 0 or not all(row["is_equal"] for row in graphs["forwards"]))


def measure(shapes: Sequence[Shape], *, rounds: int) -> dict[str, Any]:
    """Return all figures, one program after another."""
    figures: dict[str, Any] = {"torch": version("torch"), "python": platform.python_version()}
    for shape in shapes:
        speed, memory = _run(shape.throughput(rounds)), _run(shape.memory())
        figures |= {"device": speed["device"], "dtype": speed["dtype"]}
        figures[shape.name] = {name: speed[name] for name in _FIGURES} | {
            "peak_mb": {row["mode"]: row["peak_mb"] for row in memory["rows"]},
            "graphs": None if speed["device"] in ("cpu", "mps") else _run(shape.compare_graphs(rounds)),
        }
    first = shapes[0]
    exact = _run(["exact", "--shape", first.name, "--side", "64", "--interleavings", str(first.interleavings)])
    figures["exact"] = {name: exact[name] for name in ("images", "differing", "control_differing")}
    return figures


def _run(words: list[str]) -> dict[str, Any]:
    """Return the last line of a program. One that found an error says so in its figures."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words, "--json"], stdout=subprocess.PIPE, text=True, check=False
    )
    if not done.stdout.strip():
        raise SystemExit(f"`python -m bench {' '.join(words)}` failed; what it said is above.")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def table(shapes: Sequence[Shape], figures: dict[str, Any]) -> str:
    """Return the figures as a table."""
    on = f"On {figures['device']}, {figures['dtype']}, torch {figures['torch']}, {datetime.now(UTC):%Y-%m-%d}:"
    exact = figures["exact"]
    rows = [_row(shape.title, figures[shape.name]) for shape in shapes]
    return "\n".join(
        (
            on,
            "",
            "| 20 steps | pictures a second | over one at a time | over batches of equals | of the peak | padding "
            "| 95 % within | peak memory, one picture |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            f"`bench exact` there: {exact['images']} pictures, {exact['differing']} differ; "
            f"{exact['control_differing']} in the control.",
            *_list_graphs(shapes, figures),
        )
    )


def _row(title: str, found: dict[str, Any]) -> str:
    peaks = ", ".join(f"{mode} {peak:,.0f} MB" for mode, peak in found["peak_mb"].items())
    return (
        f"| {title} | {found['images_per_s']:.2f} | {found['ratio_serial']:.2f} | {found['ratio_batched']:.2f} "
        f"| {found['share_of_peak']:.0%} | {found['padding']:.1%} | {found['p95_s']:.1f} s | {peaks} |"
    )


def _list_graphs(shapes: Sequence[Shape], figures: dict[str, Any]) -> list[str]:
    """Return the lines of a second table, of CUDA graphs; none where they were not tried."""
    found = {shape.title: figures[shape.name]["graphs"] for shape in shapes if figures[shape.name]["graphs"]}
    head = ("", "| CUDA graphs | without | with | gain | differ |", "|---|---|---|---|---|")
    forwards = [
        f"| {title}, a forward of {row['rows']} rows | {row['plain_ms']:.1f} ms | {row['graph_ms']:.1f} ms "
        f"| {row['ratio']:.2f} | {'no' if row['is_equal'] else 'yes'} |"
        for title, graphs in found.items()
        for row in graphs["forwards"]
    ]
    pictures = [
        f"| {title}, pictures at once: {each['images']} | {each['plain_s']:.2f} s | {each['graph_s']:.2f} s "
        f"| {each['ratio']:.2f} | {each['differing']} |"
        for title, each in found.items()
    ]
    return [*head, *forwards, *pictures] if found else []


def replaced(page: str, text: str, first: str = BEGIN, last: str = END) -> str:
    """Return the page with another table between two marks. Raise `SystemExit` if it has no place for one."""
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise SystemExit(f"The page has no {first} and {last} to put the table between.")
    return f"{before}{begin}\n{text}\n{end}{after}"

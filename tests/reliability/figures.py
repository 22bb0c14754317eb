"""What the programs here have in common: how they are called, and how they say what they found."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping


def make_parser(name: str, text: str) -> argparse.ArgumentParser:
    """Return the parser of a program; `text` is what its module says of itself."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.reliability.{name}", description=text.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    return parser


def report(
    figures: Mapping[str, object], *, is_short: bool, to_be_zero: Iterable[str] = (), needed: Iterable[str] = ()
) -> int:
    """Print the figures, one JSON line last. Return the exit status: 0 if all is zero that has to be, and no other
    figure that is needed."""
    if not is_short:
        for name, value in figures.items():
            print(f"{name:18} {value}")
    print(json.dumps(figures))
    return 0 if all(map(figures.get, needed)) and not any(map(figures.__getitem__, to_be_zero)) else 1

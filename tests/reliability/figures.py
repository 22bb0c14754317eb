"""What the programs here have in common: how they are called, and how they say what they found."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from tests import postgres


def make_parser(name: str, text: str) -> argparse.ArgumentParser:
    """Return the parser of a program; `text` is what its module says of itself."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.reliability.{name}", description=text.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    return parser


def add_database(parser: argparse.ArgumentParser) -> None:
    kinds = ("sqlite", "postgresql")
    parser.add_argument("--database", choices=kinds, default="sqlite", help="a file, or a server of the run's own")


@contextmanager
def chosen_server(options: argparse.Namespace) -> Iterator[postgres.Server | None]:
    """Yield the server that the options ask for, set as one that must not lose a commit; None for a file."""
    if options.database == "sqlite":
        yield None
        return
    with postgres.serve(durable=True) as server:
        yield server


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

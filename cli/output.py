"""What a command prints: its results on standard output, as lines or as one JSON document; all else on standard error.

Imports little: `--help` waits for this.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Annotated, Any

import typer

from generation.errors import AtelierError

_is_json: ContextVar[bool] = ContextVar("json", default=False)


def choose(is_json: bool) -> bool:
    """Choose the form of what `show` prints from now on."""
    _is_json.set(is_json)
    return is_json


Json = Annotated[
    bool, typer.Option("--json", callback=choose, help="Print one JSON document, and nothing else on standard output.")
]
"""The option of every command that prints facts. `show` and `show_error` look at what it chose."""


def show(facts: Any, lines: Iterable[str]) -> None:
    """Print the result of a command: `facts` as JSON, or `lines` for a person to read."""
    if _is_json.get():
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    for line in lines:
        typer.echo(line)


def tell(line: str) -> None:
    """Print a line of a result that is not whole yet; as JSON it is printed when it is."""
    from cli import bars

    if not _is_json.get():
        with bars.aside():
            typer.echo(line)


def note(line: str) -> None:
    """Print what a person may want to know beside the result, on standard error."""
    typer.echo(line, err=True)


def show_error(error: AtelierError) -> None:
    """Print why a command failed: a sentence on standard error, and as JSON if that was asked for."""
    if _is_json.get():
        show(describe_error(error), ())
    note(f"atelier: {error}")


def describe_error(error: AtelierError) -> dict[str, dict[str, str]]:
    return {"error": {"code": error.code, "message": str(error)}}

"""Asks in a terminal, line by line: no colours, no cursor movement. Without a terminal every default is taken."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import typer

T = TypeVar("T")


class Questions:
    """Asks if `is_asking`; else each question answers itself by its default."""

    def __init__(self, *, is_asking: bool) -> None:
        self.is_asking = is_asking
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="surrogateescape")  # an answer in another encoding is a wrong answer, no crash

    def say(self, text: str = "") -> None:
        typer.echo(text)

    def ask(self, question: str, default: str = "") -> str:
        """Return the answer without blanks around it, `default` for Enter alone."""
        if not self.is_asking:
            return default
        return str(_prompt(question, default=default, show_default=bool(default))).strip()

    def ask_hidden(self, question: str) -> str:
        """Return an answer that is not shown while it is typed. Only with a terminal."""
        return str(_prompt(question, default="", show_default=False, hide_input=True)).strip()

    def confirm(self, question: str, *, default: bool) -> bool:
        """Return yes or no."""
        return self._ask_until(f"{question} [{'Y/n' if default else 'y/N'}]", _parse_yes_or_no, default)

    def choose(self, question: str, choices: Sequence[str], default: int) -> int | str:
        """Return the index of a choice, which is typed as its number; or the words that were typed instead."""
        for number, choice in enumerate(choices, 1):
            self.say(f"  {number}. {choice}")

        def parse(text: str) -> int | str | None:  # a longer number is an id
            if not text.isdecimal():
                return text
            return int(text) - 1 if 0 < int(text) <= len(choices) else text if len(text) > 14 else None

        first: int | str = default
        return self._ask_until(f"{question} [{default + 1}]", parse, first)

    def _ask_until(self, question: str, parse: Callable[[str], T | None], default: T) -> T:
        """Ask until the answer can be used; Enter alone, or no terminal, is `default`."""
        while True:
            text = self.ask(question)
            if not text:
                return default
            if (found := parse(text)) is not None:
                return found
            self.say("  That is none of the answers.")


def _prompt(question: str, **options: Any) -> Any:
    try:
        return typer.prompt(question, **options)
    except typer.Abort:  # Ctrl-C, or the end of what is typed
        raise KeyboardInterrupt from None


def _parse_yes_or_no(text: str) -> bool | None:
    return {"y": True, "yes": True, "n": False, "no": False}.get(text.lower())

"""A sentence that keeps its parts, so that it can be translated where it is shown. Pure.

The rooms that paint and keep know no languages: they say things in English, as a `Phrase`. It is that English text,
and code that shows it may look its `template` up in a catalogue and fill in the `values` again (see
`cogs.i18n.gettext`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self


class Phrase(str):
    """English text: `template` with `values` filled in. Both are kept; values may be phrases themselves.

    A template without values is taken as it stands. A value may be several phrases, as a tuple. A template has names in
    braces and no formats: how a number looks is the language's affair, so numbers and moments are given as what they
    are.
    """

    __slots__ = ("template", "values")

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, /, **values: object) -> Self:
        text = template.format(**{name: in_english(value) for name, value in values.items()}) if values else template
        self = super().__new__(cls, text)
        self.template, self.values = template, values
        return self

    def packed(self) -> Any:
        """Return it as lists and plain values, for a format that carries JSON."""
        return [self.template, {name: pack_value(value) for name, value in self.values.items()}]

    @classmethod
    def unpacked(cls, packed: Any) -> Phrase:
        template, values = packed
        return cls(template, **{name: unpack_value(each) for name, each in values.items()})


def in_english(value: object) -> str:
    match value:
        case float():
            return f"{value:g}"
        case datetime():
            return f"{value:%d %B at %H:%M}"
        case tuple():
            return "; ".join(in_english(each) for each in value)
        case _:
            return str(value)


def pack_value(value: object) -> Any:
    """Return a value as JSON can carry it: a phrase with its parts, a moment or a tuple as its English text."""
    match value:
        case Phrase():
            return value.packed()
        case int() | float() | str() | None:
            return value
        case _:
            return in_english(value)


def unpack_value(packed: Any) -> Any:
    return Phrase.unpacked(packed) if isinstance(packed, list) else packed

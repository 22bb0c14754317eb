"""Which message a text is: tests name the kind of a message, not its sentence."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping

from cogs.i18n.gettext import _, format_value
from generation.errors import AtelierError

_NAME = re.compile(r"\{(\w*)\}")


def is_said(what: type[AtelierError] | str, text: str, /, **details: object) -> bool:
    """Return whether `text` holds the message of an error class (or of one of its subclasses), or a template.

    A name in braces stands for any words, unless `details` gives what it must be. The template is looked up in the
    language that is spoken now. Raise `ValueError` if no template has these names.
    """
    templates = {what} if isinstance(what, str) else set(_list_templates(what))
    fitting = [each for each in templates if details.keys() <= set(_NAME.findall(each))]
    if not fitting:
        raise ValueError(f"no message with the names {', '.join(details)}: {what}")
    return any(_build_pattern(_(each), details).search(text) for each in fitting)


def _list_templates(kind: type[AtelierError]) -> Iterator[str]:
    yield inspect.getdoc(kind) or ""
    for each in kind.__subclasses__():
        yield from _list_templates(each)


def _build_pattern(template: str, details: Mapping[str, object]) -> re.Pattern[str]:
    """Return what matches the template with its names filled in."""
    literal, *rest = _NAME.split(template)
    filled = [
        (re.escape(format_value(details[name])) if name in details else ".+?") + re.escape(after)
        for name, after in zip(rest[::2], rest[1::2], strict=True)
    ]
    return re.compile(re.escape(literal) + "".join(filled), re.DOTALL)

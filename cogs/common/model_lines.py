"""What people read about a model and its defaults. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cogs.common.formatting import escape_markdown
from cogs.i18n.gettext import N_, _, format_number, ngettext
from generation.models.catalog import Model
from generation.requests.defaults import Defaults

UNGUIDED = N_("A negative prompt has no effect at guidance {guidance}.")
NEGATIVE = N_("Without a negative prompt it avoids: {words}")
AROUND = N_("Every prompt becomes: {words}")
RESCALE = N_("guidance rescale {number}")
CLIP_SKIP = N_("clip skip {number}")
NO_LICENCE = N_("licence not stated")
CACHE = N_("step cache {number}")
_MAX_WORDS = 120


def format_licence(model: Model) -> str:
    """Return under which licence it may be used, or that its files do not state one."""
    return escape_markdown(model.licence, limit=60) or _(NO_LICENCE)


def format_defaults(own: Defaults) -> str:
    """Return what a request that leaves all open is painted with, in one row."""
    parts = [
        ngettext("{number} step", "{number} steps", own.steps),
        _("guidance {number}", number=format_number(own.guidance)),
        own.sampler,
        _("{number} px", number=own.native_px),
    ]
    if own.clip_skip > 1:
        parts.append(_(CLIP_SKIP, number=own.clip_skip))
    if own.cache > 1:
        parts.append(_(CACHE, number=own.cache))
    if own.rescale:
        parts.append(_(RESCALE, number=format_number(own.rescale)))
    return ", ".join(parts)


def list_default_notes(own: Defaults) -> list[str]:
    """Return what else members should know: what the model adds to their words, and what it cannot do."""
    notes = []
    if own.prefix or own.suffix:
        words = own.complete("…", "", own.guidance)[0]
        notes.append(_(AROUND, words=escape_markdown(words, limit=_MAX_WORDS)))
    if not own.can_avoid():
        notes.append(_(UNGUIDED, guidance=format_number(own.guidance)))
    elif own.negative:
        notes.append(_(NEGATIVE, words=escape_markdown(own.negative, limit=_MAX_WORDS)))
    return notes


def list_uses(model: Model) -> Iterator[str]:
    """Yield what else than painting from words it is made for."""
    if model.is_inpainting:
        yield _("made for inpainting")
    if most := model.info.max_references:
        yield ngettext("edits {number} picture by instruction", "edits up to {number} pictures by instruction", most)

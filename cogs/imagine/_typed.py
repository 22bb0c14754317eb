"""The options of a command that paints: as they were typed, with flags and defaults joined."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from msgspec import UNSET

from cogs.common import transformers
from cogs.common.forms import Attached
from cogs.common.lookups import Found
from cogs.common.member_defaults import choose_defaults, fetch_editor
from cogs.common.submission import accepted, send_note
from cogs.common.submission_notes import format_ignored
from cogs.context import Interaction
from cogs.imagine._flags import join_flags
from cogs.imagine._messages import format_rounded_size
from generation.admission.typed import Typed
from generation.jobs.job import Job
from generation.policy.defaults import Wishes
from generation.requests.style import Style


async def read_typed(interaction: Interaction, prompt: str, options: dict[str, Any], *, edits: bool = False) -> Typed:
    """Return what was typed where a picture is started from, with the flags in the prompt.

    `options`: None for those left out; `edits`: the model has to edit by instruction. Raise `InvalidRequestError`.
    """
    notes: tuple[str, ...] = ()
    if "--" in prompt or "\u2014" in prompt:
        prompt, options, notes = await join_flags(interaction, prompt, options)
    if edits:
        options = options | {"model": await fetch_editor(interaction, options.get("model"))}
    return await fill_in(interaction, prompt, options | {"has_picture": True}, notes=notes)


def hide_like(typed: Typed, *pictures: Found | Attached) -> Typed:
    """Return what was typed, behind a spoiler if one of the pictures it is made from is, unless that was typed."""
    for each in pictures if typed.spoiler is None else ():
        if each.is_spoiler if isinstance(each, Attached) else each.job.request.is_spoiler is True:
            return replace(typed, shown={**typed.shown, "is_spoiler": True})
    return typed


async def tell_notes(interaction: Interaction, typed: Typed, job: Job) -> None:
    """Tell the person what became of their flags, and of a size that had to be changed."""
    async with accepted(interaction, job):
        rounded = format_rounded_size(typed.size, job) if typed.size is not None else None
        notes = [*typed.notes, *([rounded] if rounded is not None else [])]
        if notes:
            await send_note(interaction, "\n".join(notes), job_id=job.id)


async def fill_in(
    interaction: Interaction,
    prompt: str,
    options: dict[str, Any],
    *,
    style: Style | None = None,
    takes_style: bool = False,
    notes: tuple[str, ...] = (),
) -> Typed:
    """Return what is to be painted; what was left open comes from the defaults that hold here.

    `options`: by their names, None for those left out; `has_picture`: whether it starts from one, and `has_upload`:
    whether it may be made from what a member attached, if that is not the same.
    """
    has_picture, negative = options.pop("has_picture"), options.get("negative")
    has_upload = options.pop("has_upload", has_picture)
    wishes = Wishes(
        prompt=transformers.clean_typed_prompt(prompt),
        model=options.get("model"),
        shape=options.get("aspect"),
        style=style,
        sampler=options.get("sampler"),
        negative=transformers.clean_typed_prompt(negative) if negative else "",
        steps=options.get("steps"),
        guidance=options.get("guidance"),
        has_shape=has_picture or options.get("size") is not None,
        takes_style=takes_style,
        is_from_upload=has_upload,
    )
    chosen = await choose_defaults(interaction, wishes)
    if chosen.ignored:
        notes += format_ignored(chosen.ignored)
    values = {"model": chosen.model, "aspect": chosen.shape, "sampler": chosen.sampler, "negative": chosen.negative}
    shown: dict[str, Any] = {"is_spoiler": True} if options.get("spoiler") else {}
    if alt := options.pop("alt", None):
        shown["alt"] = transformers.clean_typed_prompt(alt) or UNSET
    if chosen.chosen_by:
        shown["chosen_by"] = chosen.chosen_by
    return Typed(prompt=chosen.prompt, notes=notes, shown=shown, **options | values)

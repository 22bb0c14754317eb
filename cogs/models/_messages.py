"""What members read of models, LoRA and embeddings. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cogs.common.formatting import (
    bind_words,
    escape_markdown,
    format_bytes,
    format_link,
    format_small,
    format_standard_steps,
    join_dotted,
)
from cogs.common.messages import Entry, Lines, MessageSpec, StoredPicture
from cogs.common.model_lines import format_licence, list_uses
from cogs.i18n.gettext import N_, _, format_labelled, join_list, ngettext
from generation.models.catalog import Model
from generation.models.prices import compute_usual_cost
from generation.requests.bases import name_base
from generation.requests.prompt_addons import PromptAddon, fits
from generation.safety.checker_trust import is_vetted
from generation.safety.visibility import Shown


@dataclass(frozen=True, slots=True)
class ShownPreview:
    """A small picture of what a model or LoRA does, and how it may be shown where it is asked for."""

    path: Path
    sha256: str
    how: Shown


NO_PREVIEWS: Mapping[str, ShownPreview] = {}
NONE_ADDED = N_("None yet. The operator of the bot can add some.")
UNUSABLE = N_("It cannot be used at present. The operator of the bot can find out why.")
RESTRICTED_ONLY = N_("It works in age-restricted channels only.")
FITS_NONE = N_("fits no model here")
MODELS, LORAS = "offered", "loras"
"""Lists that are shown by pages."""
_MAX_WORDS = 300


def build_models(
    found: Sequence[tuple[Model, int]],
    *,
    checks_safety: bool,
    unusable: Collection[str],
    previews: Mapping[str, ShownPreview] = NO_PREVIEWS,
) -> MessageSpec:
    """Return what each model is and can do; the first is the default. Each with the bytes of its weights, 0 where they
    are not known. `unusable`: names of those that failed; `previews`: those that may be shown here, by name."""
    lines: list[str | Entry] = []
    for model, size_bytes in found:
        notes = [format_small(each) for each in _describe_use(model, checks_safety=checks_safety, unusable=unusable)]
        lines.append(_put_preview("\n".join((_format_head(model, size_bytes), *notes)), model.name, previews))
    more = format_small(_("The first model is the default. Choose another with the option `model` of `/imagine`."))
    return MessageSpec(blocks=(_("### Models"), Lines(tuple(lines), MODELS), more))


def build_loras(models: Sequence[Model], previews: Mapping[str, ShownPreview] = NO_PREVIEWS) -> MessageSpec:
    """Return what may be called in a prompt, and with which of these models: the first is the default."""
    loras, embeddings = (
        tuple(_list_addons(models, each, previews)) for each in (_get_loras(models), _get_embeddings(models))
    )
    lines = loras + ((_("**Embeddings**"), *embeddings) if embeddings else ())
    how = _("Write a name in the option `lora` of `/imagine`, with a weight from -2 to 2: `name:0.8, name2`.")
    words = _("Call an embedding by its name, as a word of the prompt or the negative prompt.") if embeddings else ""
    listed = Lines(lines, LORAS) if lines else _(NONE_ADDED)
    return MessageSpec(blocks=(_("### LoRA"), listed, format_small(how), format_small(words) if words else ""))


def _get_loras(models: Sequence[Model]) -> Sequence[PromptAddon]:
    return models[0].loras if models else ()


def _get_embeddings(models: Sequence[Model]) -> Sequence[PromptAddon]:
    return models[0].embeddings if models else ()


def _list_addons(
    models: Sequence[Model], addons: Sequence[PromptAddon], previews: Mapping[str, ShownPreview]
) -> Iterator[str | Entry]:
    """Yield each add-on with what is known of it; those that fit the default model come first."""
    for addon in sorted(addons, key=lambda each: not fits(models[0], each)):
        facts = [
            *(escape_markdown(each, limit=60) for each in (name_base(addon), addon.licence) if each),
            _format_fit(addon, models),
            *([format_link(addon.page)] if addon.page else []),
        ]
        name = f"**{escape_markdown(addon.name)}**"
        head = format_labelled(name, escape_markdown(addon.note, limit=_MAX_WORDS)) if addon.note else name
        yield _put_preview("\n".join((head, format_small(join_dotted(facts)))), addon.name, previews)


def _put_preview(text: str, name: str, previews: Mapping[str, ShownPreview]) -> str | Entry:
    """Return the text, beside its preview if there is one to show."""
    preview = previews.get(name)
    if preview is None:
        return text
    alt = _("A picture of what {name} does", name=name)
    filename = f"preview-{list(previews).index(name)}.png"
    return Entry(
        text, StoredPicture(preview.path, preview.sha256, filename, alt, is_spoiler=preview.how is Shown.SPOILER)
    )


def _format_fit(addon: PromptAddon, models: Sequence[Model]) -> str:
    names = [escape_markdown(model.name, limit=40) for model in models if fits(model, addon)]
    if len(names) == len(models) > 1:
        return _("fits every model")
    shown = names if len(names) <= 5 else [*names[:5], "…"]
    return _("fits {models}", models=join_list(shown)) if names else _(FITS_NONE)


def _format_head(model: Model, size_bytes: int) -> str:
    """Return its name, and where it is from."""
    parts = [f"**{escape_markdown(model.name, limit=60)}**"]
    parts += [*([escape_markdown(model.base, limit=60)] if model.base else []), format_licence(model)]
    parts += [bind_words(format_bytes(size_bytes))] if size_bytes else []
    return join_dotted((*parts, *([format_link(model.page)] if model.page else [])))


def _describe_use(model: Model, *, checks_safety: bool, unusable: Collection[str]) -> Iterator[str]:
    """Yield what it does where nothing is chosen, what it can do, and where it may not."""
    own = model.defaults
    facts = (
        f"{own.native_px} × {own.native_px}",
        ngettext("{number} step", "{number} steps", own.steps),
        _("guidance {value}", value=own.guidance),
        own.sampler,
    )
    yield join_dotted(map(bind_words, facts))
    yield _("One picture costs about {steps}.", steps=format_standard_steps(compute_usual_cost(model)))
    if abilities := tuple(_list_abilities(model)):
        yield join_dotted(map(bind_words, abilities))
    if not is_vetted(model, checks_safety=checks_safety, is_from_upload=False):
        yield _(RESTRICTED_ONLY)
    if model.name in unusable:
        yield _(UNUSABLE)


def _list_abilities(model: Model) -> Iterator[str]:
    yield from list_uses(model)
    if model.max_clip_skip > 1:
        yield _("clip skip up to {most}", most=model.max_clip_skip)
    if number := len(model.controls):
        yield ngettext("{number} ControlNet", "{number} ControlNets", number)
    if number := len(model.ip_adapters):
        yield ngettext("{number} IP-Adapter", "{number} IP-Adapters", number)
    if number := sum(fits(model, each) for each in model.loras):
        yield ngettext("{number} LoRA fits", "{number} LoRA fit", number)

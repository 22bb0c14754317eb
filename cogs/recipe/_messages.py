"""What people read of a recipe: settings, the line other tools read, traces, and the picture's family. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UnsetType

from cogs.common.comparison import MAX_LABEL, format_axes, format_cell
from cogs.common.formatting import (
    bind_words,
    escape_markdown,
    format_settings,
    format_small,
    format_standard_steps,
    join_dotted,
)
from cogs.common.messages import Block, Long, MessageSpec, Rule
from cogs.i18n.gettext import N_, _, format_number, join_clauses, ngettext
from generation.images.interchange import ForeignSettings
from generation.images.metadata import format_parameters
from generation.jobs.adopt import seed_here
from generation.jobs.delivery import Delivery
from generation.jobs.history import Relatives
from generation.jobs.job import Image, Job
from generation.jobs.job_kind import get_job_kind
from generation.requests.comparison import Comparison
from generation.requests.origin import GUIDANCE, MODEL, NEGATIVE, SAMPLER, SHAPE, STEPS, STYLE, Origin
from generation.requests.recipe import Recipe

WORDS_ONLY = N_(
    "The recipe starts from another picture, which cannot be used here. I paint with its prompt and "
    "settings only, so the result is a different picture."
)
UNKNOWN_TRACE = N_(
    "I do not know this file, and its recipe needs larger batches than its picture. So I paint with "
    "its settings as a normal request, and the bytes may differ. If the picture was made here, use "
    "its id instead."
)
TITLE = N_("### Recipe")
SETTINGS_LINE = N_("**Settings** {line}")
FOREIGN_SETTINGS = N_("### Settings from {tool}")
FROM_TOOL = N_(
    "This file is from {tool}. I paint with its settings but with my own model and noise, so the result is a "
    "different picture."
)
UNREAD_SETTINGS = N_("I cannot read these settings, so I do not use them: {names}.")
SEED_CUT = N_("I use {here} instead of its seed {there}: only 32 bits of a seed count here.")
NOT_EXACT = N_("To paint it again here, as a different picture: {command}")
FILE_NOT_EXACT = N_("To paint it again here, as a different picture: `/reproduce` with this file.")
MAX_HOST = 80
ORIGINS = {
    Origin.TYPED: N_("Typed: {values}"),
    Origin.MEMBER: N_("from the member's own defaults: {values}"),
    Origin.CHANNEL: N_("from the channel's defaults: {values}"),
    Origin.SERVER: N_("from the server's defaults: {values}"),
}
BY_MODEL = N_("the rest: from the model")
VALUES = {
    MODEL: N_("model"),
    SHAPE: N_("shape"),
    STYLE: N_("style"),
    SAMPLER: N_("sampler"),
    NEGATIVE: N_("what to avoid"),
    STEPS: N_("steps"),
    GUIDANCE: N_("guidance"),
}
"""What the values that have defaults are called."""
MAX_KIN = 6
Places = Mapping[str, Delivery]
"""Where the messages of a family stand, by job id."""


def build_recipe(job: Job, kin: Relatives, places: Places) -> MessageSpec:
    """All that is needed to make these pictures again; for one person's eyes. Some picture of `job` has a recipe."""
    done = [(image, image.recipe) for image in job.images if image.recipe is not None]
    first = done[0][1]
    blocks: list[Block] = [_(TITLE), _format_settings(job, first), *_list_origins(job), Rule()]
    layout = job.request.comparison or None
    blocks += format_axes(job.request)
    blocks.append(_build_parameters(*(made for _image, made in (done if layout else done[:1]))))
    blocks += _build_template([made for _, made in done])
    blocks.append("\n".join(_format_trace(image, made, layout) for image, made in done))
    blocks.append(_format_cost(job))
    if family := _format_family(kin, places, job.owner.guild_id):
        blocks.append("\n".join(family))
    image, made = next((each for each in done if not each[1].fingerprint.cloud), done[0])
    command = f"`/reproduce picture:{job.id}-{image.index}`"
    exact = N_("To make a picture again, byte for byte: {command}")
    blocks.append(format_small(_(NOT_EXACT if made.fingerprint.cloud else exact, command=command)))
    return MessageSpec(blocks=tuple(blocks))


def _format_cost(job: Job) -> str:
    cost = format_standard_steps(sum(image.charged for image in job.images))
    return ngettext("This picture cost {steps}.", "Together, these pictures cost {steps}.", len(job.images), steps=cost)


def build_file_recipe(made: Recipe) -> MessageSpec:
    """Return the recipe in a PNG of ours, for any member's picture."""
    exact = N_("To make the picture again, byte for byte: `/reproduce` with this file.")
    command = format_small(_(FILE_NOT_EXACT if made.fingerprint.cloud else exact))
    facts = _format_facts(made)
    return MessageSpec(blocks=(_(TITLE), facts, Rule(), _build_parameters(made), *_build_template([made]), command))


def build_foreign(found: ForeignSettings) -> MessageSpec:
    """Return the settings another tool wrote, and which of them hold here."""
    there = found.sampler_there and _("{name} (not available)", name=escape_markdown(found.sampler_there, limit=80))
    facts = {
        N_("Steps"): found.steps,
        N_("Guidance"): None if found.guidance is None else format_number(found.guidance),
        N_("Seed"): None if found.seed is None else str(found.seed),
        N_("Size"): None if found.size_px is None else "{} × {}".format(*found.size_px),
        N_("Sampler"): found.sampler or there,
        N_("Clip skip"): found.clip_skip,
        N_("LoRA"): ", ".join(map(escape_markdown, found.loras)) or None,
        N_("Original model"): found.model_there and escape_markdown(found.model_there, limit=80),
        N_("Not read"): _join_names(found) or None,
    }
    head = _(FOREIGN_SETTINGS, tool=found.tool)
    known = "\n".join(f"**{_(name)}** {value}" for name, value in facts.items() if value is not None)
    prompt = Long(found.prompt or "–", "prompt.txt", _("The prompt"), is_code=True)
    blocks: list[Block] = [head, prompt]
    if found.negative:
        avoided = Long(found.negative, "avoid.txt", _("What to avoid"), is_code=True)
        blocks += [_("**What to avoid**"), avoided]
    if known:
        blocks.append(known)
    blocks.append(
        format_small(
            _("To paint with these settings: `/reproduce` with this file. The noise differs, so the picture differs.")
        )
    )
    return MessageSpec(blocks=tuple(blocks))


def format_adopted(found: ForeignSettings) -> str:
    """Told to the person whose file lent its settings: what of it does not count here."""
    said = [
        _(
            FROM_TOOL,
            tool=found.tool,
        )
    ]
    if found.unread:
        said.append(_(UNREAD_SETTINGS, names=_join_names(found)))
    if found.seed is not None and (here := seed_here(found.seed)) != found.seed:
        said.append(
            _(
                SEED_CUT,
                there=str(found.seed),
                here=str(here),
            )
        )
    return " ".join(said)


def _join_names(found: ForeignSettings) -> str:
    return ", ".join(escape_markdown(each, limit=80) for each in found.unread)


def _build_parameters(*made: Recipe) -> Long:
    """Return the A1111 line to copy, or several."""
    return Long("\n\n".join(map(format_parameters, made)), "recipe.txt", _("The recipe"), is_code=True)


def _build_template(made: Sequence[Recipe]) -> list[Block]:
    """Return what the prompts were drawn from, and what was drawn for each picture."""
    template = made[0].spec.template
    if not template:
        return []
    asked = " | ".join(filter(None, (template.prompt, template.negative)))
    drawn = "\n".join(f"{each.spec.seed}: {each.spec.prompt}" for each in made)
    text = _("Drawn from: {template}\nBy seed:\n{drawn}", template=asked, drawn=drawn)
    return [Long(text, "drawn.txt", _("The prompt with its choices, and what was drawn"), is_code=True)]


def _format_settings(job: Job, made: Recipe) -> str:
    return _(SETTINGS_LINE, line=format_settings(job.request, has_model=False)) + "\n" + _format_facts(made)


def _list_origins(job: Job) -> list[str]:
    """Return who chose which value, where a default chose any."""
    chosen_by = job.request.chosen_by
    if isinstance(chosen_by, UnsetType) or not chosen_by:
        return []
    by = {origin: [_(VALUES[name]) for name in VALUES if chosen_by.get(name) is origin] for origin in ORIGINS}
    parts = [_(ORIGINS[origin], values=", ".join(names)) for origin, names in by.items() if names]
    return [format_small(join_clauses((*parts, _(BY_MODEL))))]


def _format_facts(made: Recipe) -> str:
    spec = made.spec
    facts = {
        N_("Model"): f"{escape_markdown(spec.model, limit=80)} ({_format_code(made.model_sha256[:10])})",
        N_("Machine"): f"`{made.fingerprint.digest}`",
    }
    if made.fingerprint.cloud:
        facts[N_("Painted by")] = escape_markdown(made.fingerprint.cloud, limit=MAX_HOST)
    if spec.variation is not None:
        facts[N_("Variation")] = _(
            "seed {seed}, strength {strength}", seed=spec.variation.seed, strength=spec.variation.strength
        )
    for control in spec.controls:
        of = f"{escape_markdown(control.network, limit=60)} ({_format_code(control.network_sha256[:10])})"
        span = () if (control.begin, control.end) == (0.0, 1.0) else (f"{control.begin:g}–{control.end:g}",)
        seen = f"{control.preprocessor} ({control.mode})" if control.mode else control.preprocessor
        each = (of, seen, _("strength {value}", value=control.strength), *span)
        facts[N_("ControlNet")] = join_dotted((*filter(None, (facts.get("ControlNet"),)), ", ".join(each)))
    if looked := spec.image_prompt:
        of = f"{escape_markdown(looked.adapter, limit=60)} ({_format_code(looked.adapter_sha256[:10])})"
        facts[N_("Reference")] = ", ".join((of, _("strength {value}", value=looked.strength)))
    if made.parents:
        facts[N_("Made from")] = " ← ".join(_format_code(parent[:12]) for parent in made.parents[:MAX_KIN])
    return "\n".join(f"**{_(name)}** {value}" for name, value in facts.items())


def _format_code(text: str) -> str:
    """Return a few signs as code; a file may hold anything there."""
    return f"`{text.replace('`', '')}`"


def _format_trace(image: Image, made: Recipe, layout: Comparison | None) -> str:
    seed = made.spec.variation.seed if made.spec.variation else made.spec.seed
    parts = (
        f"{image.index + 1}",
        *([escape_markdown(format_cell(layout, image.spec), limit=MAX_LABEL)] if layout else []),
        _("seed {seed}", seed=seed),
        *_list_computation(made),
        _("pixels {code}", code=f"`{made.pixels_sha256[:12]}`"),
    )
    return format_small(join_dotted(map(bind_words, parts)))


def _list_computation(made: Recipe) -> list[str]:
    """Return what is known of how a picture was computed: an enlargement leaves no trace, nor does a cloud."""
    if host := made.fingerprint.cloud:
        return [_("painted by {host}", host=escape_markdown(host, limit=MAX_HOST))]
    trace = made.trace if len(made.trace) <= 60 else made.trace[:59] + "…"
    return [_("trace {code}", code=f"`{trace}`")] if trace else []


def _format_family(kin: Relatives, places: Places, guild_id: int) -> list[str]:
    """Links only, and no words of others' prompts: Discord decides who may read that message."""
    lines = []
    if kin.parents:
        steps = (
            _format_link(job, places, guild_id) + _format_index(job, index) for job, index in kin.parents[:MAX_KIN]
        )
        line = ngettext("**Parent** {pictures}", "**Parents** {pictures}", len(kin.parents), pictures=" ← ".join(steps))
        lines.append(line + ("" if len(kin.parents) <= MAX_KIN else " ← …"))
    if kin.children:
        children = ", ".join(_format_link(job, places, guild_id) for job in kin.children[:MAX_KIN])
        line = ngettext("**Child** {pictures}", "**Children** {pictures}", len(kin.children), pictures=children)
        lines.append(line + ("" if len(kin.children) <= MAX_KIN else ", …"))
    return lines


def _format_index(job: Job, index: int) -> str:
    return " " + _("(picture {number})", number=index + 1) if len(job.images) > 1 else ""


def _format_link(job: Job, places: Places, guild_id: int) -> str:
    word = _(get_job_kind(job.request).value)
    place = places[job.id].reply_to if job.id in places else None
    if place is None or place.message_id is None:
        return word
    return f"[{word}](https://discord.com/channels/{guild_id or '@me'}/{place.channel_id}/{place.message_id})"

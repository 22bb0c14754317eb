"""What people read of a recipe: settings, the line other tools read, traces, and the picture's family. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from cogs.say import Block, Picture, Rule, Say
from cogs.words import code_block, escaped, settings_line, small
from generation.album import Kin
from generation.delivery import Delivery
from generation.interchange import Foreign
from generation.job import Image, Job
from generation.origin import origin_of
from generation.provenance import parameters_line
from generation.recipe import Recipe

MAX_CODE = 2200
MAX_KIN = 6
Places = Mapping[str, Delivery]
"""Where the messages of a family stand, by job id."""


def recipe(job: Job, kin: Kin, places: Places) -> Say:
    """All that is needed to make these pictures again; for one person's eyes. Some picture of `job` has a recipe."""
    done = [(image, image.recipe) for image in job.images if image.recipe is not None]
    first = done[0][1]
    blocks: list[Block] = ["### Recipe", _settings(job, first), Rule()]
    attached = _line(blocks, parameters_line(first))
    blocks.append("\n".join(_trace_line(image, made) for image, made in done))
    if family := _family(kin, places, job.owner.guild_id):
        blocks.append("\n".join(family))
    blocks.append(small(f"Make one again, byte for byte: `/reproduce picture:{job.id}-{done[0][0].index}`"))
    return Say(blocks=tuple(blocks), attached=attached)


def recipe_of_file(made: Recipe) -> Say:
    """The recipe that a PNG of ours carries, whoever asked for the picture."""
    blocks: list[Block] = ["### Recipe", _facts(made), Rule()]
    attached = _line(blocks, parameters_line(made))
    blocks.append(small("Make it again, byte for byte: `/reproduce` with this file."))
    return Say(blocks=tuple(blocks), attached=attached)


def foreign(found: Foreign) -> Say:
    """The settings another tool wrote, and which of them hold here."""
    facts = {
        "Steps": found.steps,
        "Guidance": found.guidance,
        "Seed": found.seed,
        "Size": None if found.size_px is None else "{} × {}".format(*found.size_px),
        "Sampler": found.sampler or (found.sampler_there and f"{escaped(found.sampler_there)} (not here)"),
        "Model there": found.model_there and escaped(found.model_there),
    }
    head = f"### Settings from {found.tool}"
    known = "\n".join(f"**{name}** {value}" for name, value in facts.items() if value is not None)
    blocks: list[Block] = [head, code_block(found.prompt or "–")]
    if found.negative:
        blocks += ["**What to avoid**", code_block(found.negative)]
    if known:
        blocks.append(known)
    blocks.append(small("`/reproduce` with this file paints with these settings, from noise of our own."))
    return Say(blocks=tuple(blocks))


def _line(blocks: list[Block], line: str) -> tuple[Picture, ...]:
    """The A1111 line to copy; one too long for a message is a file."""
    if len(line) <= MAX_CODE:
        blocks.append(code_block(line))
        return ()
    return (Picture("recipe.txt", line.encode(), "The recipe"),)


def _settings(job: Job, made: Recipe) -> str:
    return f"**Settings** {settings_line(job.request)}\n{_facts(made)}"


def _facts(made: Recipe) -> str:
    spec = made.spec
    facts = {
        "Model": f"{spec.model} (`{made.model_sha256[:10]}`)",
        "Machine": f"`{made.fingerprint.digest}`",
    }
    if spec.variation is not None:
        facts["Variation"] = f"seed {spec.variation.seed}, strength {spec.variation.strength:g}"
    if made.parents:
        facts["Made from"] = " ← ".join(f"`{parent[:12]}`" for parent in made.parents)
    return "\n".join(f"**{name}** {value}" for name, value in facts.items())


def _trace_line(image: Image, made: Recipe) -> str:
    seed = made.spec.variation.seed if made.spec.variation else made.spec.seed
    trace = made.trace if len(made.trace) <= 60 else made.trace[:59] + "…"
    return small(f"{image.index + 1} · seed {seed} · trace `{trace or '–'}` · pixels `{made.pixels_sha256[:12]}`")


def _family(kin: Kin, places: Places, guild_id: int) -> list[str]:
    """Links only, and no words of others' prompts: whether somebody may read that message is Discord's to say."""
    lines = []
    if kin.parents:
        steps = (_linked(job, places, guild_id) + _which(job, index) for job, index in kin.parents[:MAX_KIN])
        lines.append(f"**Parents** {' ← '.join(steps)}")
    if kin.children:
        lines.append(f"**Children** {', '.join(_linked(job, places, guild_id) for job in kin.children[:MAX_KIN])}")
    return lines


def _which(job: Job, index: int) -> str:
    return f" (picture {index + 1})" if len(job.images) > 1 else ""


def _linked(job: Job, places: Places, guild_id: int) -> str:
    word = origin_of(job.request)
    place = places[job.id].reply_to if job.id in places else None
    if place is None or place.message_id is None:
        return str(word)
    return f"[{word}](https://discord.com/channels/{guild_id or '@me'}/{place.channel_id}/{place.message_id})"

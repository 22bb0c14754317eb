"""Paint, replay and verify from the shell, through the same service, queue, worker and database as the bot."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from cli import offline
from cli.serve import App, open_app
from config import Settings
from generation.images.replay import Agreement, ReplayVerdict
from generation.jobs.job import Job
from generation.models.sizes import parse_size
from generation.requests.drawing import draw_prompts, write_prompts
from generation.requests.prompt import clean_prompt
from generation.requests.seeds import draw_seed
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.requests.unread_syntax import list_prompt_notes


@dataclass(frozen=True, slots=True)
class ImagineOptions:
    """What the person asks for; None leaves the choice to the model, or for the seed to chance."""

    prompt: str
    negative: str
    size: str | None
    steps: int | None
    guidance: float | None
    sampler: str | None
    seed: int | None
    clip_skip: int | None


def imagine(settings: Settings, options: ImagineOptions, *, out: Path, count: int) -> None:
    """Paint `count` pictures and write them to `out`. Blocks. Raise `AtelierError` if one was not made."""
    offline.require_writable(out)
    asyncio.run(_imagine(settings, options, out, count))


async def _imagine(settings: Settings, options: ImagineOptions, out: Path, count: int) -> None:
    async with open_app(settings, is_single=True) as app:
        spec = _build_spec(app, options)
        request = draw_prompts(GenerationRequest(spec=spec, count=count), app.generation.catalog.default, {})
        for note in list_prompt_notes(*(request.specs[1:] or request.specs)):
            typer.echo(note, err=True)
        job = await offline.paint(app.generation, app.running, request)
        _write_images(app, job, out)


def _build_spec(app: App, options: ImagineOptions) -> ImageSpec:
    model = app.generation.catalog.default
    words = clean_prompt(options.prompt), clean_prompt(options.negative)
    written = write_prompts(model, *model.defaults.complete(*words, options.guidance))
    return ImageSpec.for_model(
        model,
        **written,
        size_px=parse_size(model, options.size) if options.size else None,
        steps=options.steps,
        guidance=options.guidance,
        sampler=options.sampler,
        seed=draw_seed() if options.seed is None else options.seed,
        clip_skip=options.clip_skip,
    )


def _write_images(app: App, job: Job, out: Path) -> None:
    for image in job.images:
        target = out if len(job.images) == 1 else out.with_stem(f"{out.stem}-{image.index + 1}")
        target.write_bytes(offline.read_png(app.generation, image))
        typer.echo(target)


def replay(settings: Settings, source: str) -> bool:
    """Paint a picture again and print the comparison. Return whether every byte is the same. Blocks."""
    path = Path(source)
    from_file = offline.read_file(path) if path.suffix.lower() == ".png" or path.exists() else None

    async def paint_again() -> ReplayVerdict:
        async with open_app(settings, is_single=True) as app:
            originals = from_file or await offline.read_job(app.generation, app.jobs, source)
            return await offline.replay(app.generation, app.running, originals)

    verdict = asyncio.run(paint_again())
    typer.echo(json.dumps(asdict(verdict)))
    return verdict.verdict is Agreement.IDENTICAL


def verify(file: Path) -> bool:
    """Print what a picture file says of itself. Return whether a machine made it and it is unchanged."""
    disclosure = offline.verify_file(file)
    typer.echo(json.dumps(asdict(disclosure)))
    return disclosure.is_sound

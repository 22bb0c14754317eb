"""Paint, replay and verify from the shell, through the same service, queue, worker and database as the bot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cli import offline
from cli.output import describe_error, note, show
from cli.serve import App, open_app
from config import Settings
from generation.errors import AtelierError
from generation.images.replay import Agreement, ReplayVerdict
from generation.jobs.job import Job, Status
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


def imagine(settings: Settings, options: ImagineOptions, *, out: Path, count: int) -> bool:
    """Paint `count` pictures, write them to `out` and print which they are. Blocks. Return whether all were made.

    Raise `AtelierError` if none was.
    """
    offline.require_writable(out)
    pictures, missing = asyncio.run(_imagine(settings, options, out, count))
    if missing and not pictures:
        raise next(iter(missing.values()))
    for index, error in missing.items():
        note(f"atelier: Picture {index + 1} is missing. {error}")
    lacking = [{"number": index + 1, **describe_error(error)} for index, error in missing.items()]
    show({"pictures": pictures, "missing": lacking}, (picture["file"] for picture in pictures))
    return not missing


async def _imagine(
    settings: Settings, options: ImagineOptions, out: Path, count: int
) -> tuple[list[dict[str, Any]], dict[int, AtelierError]]:
    async with open_app(settings, is_single=True) as app:
        spec = _build_spec(app, options)
        request = draw_prompts(GenerationRequest(spec=spec, count=count), app.generation.catalog.default, {})
        for said in list_prompt_notes(*(request.specs[1:] or request.specs)):
            note(str(said))
        job = await offline.paint(app.generation, app.running, request)
        return list(_write_images(app, job, out)), offline.find_failures(app.generation, job)


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


def _write_images(app: App, job: Job, out: Path) -> Iterator[dict[str, Any]]:
    """Write every picture that was made, and yield what it is."""
    for image in job.images:
        if image.status is Status.DONE:
            target = out if len(job.images) == 1 else out.with_stem(f"{out.stem}-{image.index + 1}")
            target.write_bytes(offline.read_png(app.generation, image))
            yield {"file": str(target), "job": job.id, "seed": image.spec.seed, "sha256": image.file_sha256}


def replay(settings: Settings, source: str) -> bool:
    """Paint a picture again and print the comparison. Return whether every byte is the same. Blocks."""
    path = Path(source)
    from_file = offline.read_file(path) if path.suffix.lower() == ".png" or path.exists() else None

    async def paint_again() -> ReplayVerdict:
        async with open_app(settings, is_single=True) as app:
            originals = from_file or await offline.read_job(app.generation, app.jobs, source)
            return await offline.replay(app.generation, app.running, originals)

    verdict = asyncio.run(paint_again())
    show(asdict(verdict), [json.dumps(asdict(verdict))])
    return verdict.verdict is Agreement.IDENTICAL


def verify(file: Path) -> bool:
    """Print what a picture file says of itself. Return whether a machine made it and it is unchanged."""
    disclosure = offline.verify_file(file)
    show(asdict(disclosure), [json.dumps(asdict(disclosure))])
    return disclosure.is_sound

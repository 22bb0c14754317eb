"""The commands of `models` and their options. A command imports what it needs when it is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cli.completion import complete_added, complete_kind, complete_samplers, complete_words
from cli.execution import PLAIN, load_settings, run_guarded
from cli.output import Json, note, show, tell

T = TypeVar("T")
models_app = typer.Typer(**PLAIN, help="Models, LoRA, textual inversions and VAE: which there are.")


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """Show what there is, from where, and under which licence."""
    from cli.model_list import list_all
    from generation.models.failed_loads import FailedLoads

    settings = load_settings()
    failed = FailedLoads(settings.engine.failed_loads)
    found = run_guarded(lambda: list(list_all(settings.folder_of_models, failed.of)))
    show([each.list_facts() for each in found], (line for each in found for line in each.list_lines()))


@models_app.command("add")
def models_add(
    what: Annotated[str, typer.Argument(metavar="PATH|HUB_ID|LINK", help="A file, a folder, owner/name, a link.")],
    name: Annotated[str | None, typer.Option(help="What people will call it; else made from the file's name.")] = None,
    revision: Annotated[str | None, typer.Option(help="Of the hub: branch, tag or commit; pinned as a commit.")] = None,
    config: Annotated[str | None, typer.Option(help="For one file: a model folder or name; a word list.")] = None,
    vae: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="For a model: the VAE to use instead of its own.",
            autocompletion=complete_kind("vae"),
        ),
    ] = None,
    text_encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="For transformers, such as Z-Image: the same of its text encoder.",
            autocompletion=complete_kind("text-encoder"),
        ),
    ] = None,
    text_encoder_2: Annotated[
        str | None,
        typer.Option(
            "--text-encoder-2",
            metavar="NAME|PATH",
            help="The same of its second one, of FLUX.1 and Stable Diffusion 3.5.",
            autocompletion=complete_kind("text-encoder"),
        ),
    ] = None,
    text_encoder_3: Annotated[
        str | None,
        typer.Option(
            "--text-encoder-3",
            metavar="NAME|PATH",
            help="The same of its third one, of Stable Diffusion 3.5.",
            autocompletion=complete_kind("text-encoder"),
        ),
    ] = None,
    image_encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="For an IP-Adapter: what it sees pictures through.",
            autocompletion=complete_kind("image-encoder"),
        ),
    ] = None,
    prediction: Annotated[
        str | None,
        typer.Option(
            metavar="v|epsilon",
            help="For a model that does not say what it predicts.",
            autocompletion=complete_words("v", "epsilon"),
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="fp8|whole",
            help="For transformers, such as Z-Image: keep its weights in fp8.",
            autocompletion=complete_words("fp8", "whole"),
        ),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Of the hub: half precision where it is offered.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Of the same name and kind: it gives way.")] = False,
    as_json: Json = False,
) -> None:
    """Check a model, LoRA, textual inversion or VAE, fetch it if need be, and offer it: a running bot takes it up."""
    from cli import models

    settings = load_settings()
    folder, token = settings.folder_of_models, settings.civitai_token
    options: dict[str, Any] = {"name": name, "revision": revision, "config": config, "vae": vae}
    options |= {
        "text_encoder": text_encoder,
        "text_encoder_2": text_encoder_2,
        "text_encoder_3": text_encoder_3,
        "image_encoder": image_encoder,
        "storage": storage,
        "prediction": prediction,
    }
    options |= {"half": half, "replaces": replace, "civitai_token": token.get_secret_value() if token else ""}
    told: list[str] = []
    entry = _change_models(folder, lambda: models.add(folder, what, say=note, tell=told.append, **options))
    show(models.list_facts(folder, entry), told)


@models_app.command("scan")
def models_scan(
    path: Annotated[str, typer.Argument(help="The folder that another program keeps its models in.")],
    as_json: Json = False,
) -> None:
    """Add all checkpoints, LoRA, textual inversions and VAE below a folder. They stay where they are."""
    from cli import models

    folder = load_settings().folder_of_models
    show(asdict(_change_models(folder, lambda: models.scan(folder, path, say=tell))), ())


@models_app.command("set")
def models_set(
    name: Annotated[str, typer.Argument(help="What `models list` calls it.", autocompletion=complete_added)],
    steps: Annotated[int | None, typer.Option(help="1 to 150.")] = None,
    guidance: Annotated[
        float | None, typer.Option(help="0 to 30; at 1 or below a negative prompt does nothing.")
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(help="As in /imagine, for example `Euler SGM Uniform`.", autocompletion=complete_samplers),
    ] = None,
    size: Annotated[int | None, typer.Option(metavar="PIXELS", help="The side of a square picture.")] = None,
    clip_skip: Annotated[int | None, typer.Option(help="1 uses the last layer of the text encoder.")] = None,
    rescale: Annotated[
        float | None, typer.Option(help="Guidance rescale, 0 to 1: for v-prediction that burns out. 0 is off.")
    ] = None,
    cache: Annotated[
        int | None,
        typer.Option(help="Step cache, 2 to 10: lossy and faster, only one of so many steps is whole. 1 is off."),
    ] = None,
    negative: Annotated[str | None, typer.Option(help="For prompts without a negative one; '' for none.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Words before every prompt; '' for none.")] = None,
    suffix: Annotated[str | None, typer.Option(help="Words behind every prompt; '' for none.")] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="fp8|whole", help="For transformers, such as Z-Image: how its weights are kept in memory."
        ),
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what was set, and guess again.")] = False,
    as_json: Json = False,
) -> None:
    """Set what a model, or a LoRA for few steps, is painted with where a request leaves it open. A bot takes it up."""
    from cli import model_defaults

    folder = load_settings().folder_of_models
    chosen: dict[str, Any] = {"steps": steps, "guidance": guidance, "sampler": sampler, "native_px": size}
    chosen |= {
        "clip_skip": clip_skip,
        "rescale": rescale,
        "cache": cache,
        "negative": negative,
        "prefix": prefix,
        "suffix": suffix,
        "resets": reset,
    }
    chosen["storage"] = storage
    told: list[str] = []
    _change_models(folder, lambda: model_defaults.set_defaults(folder, name, say=told.append, **chosen))
    show({"name": name, "is_now": " ".join(told)}, told)


@models_app.command("remove")
def models_remove(
    name: Annotated[str, typer.Argument(help="What `models list` calls it.", autocompletion=complete_added)],
    as_json: Json = False,
) -> None:
    """Offer it no more, also in a running bot. Its files stay where they are."""
    from cli import models

    folder = load_settings().folder_of_models
    told: list[str] = []
    entry = _change_models(folder, lambda: models.remove(folder, name, say=told.append))
    show({"name": name, "kind": entry.kind, "files": str(entry.place(folder))}, told)


@models_app.command("verify")
def models_verify(as_json: Json = False) -> None:
    """Hash every file again and apply today's rules: exit status 0 only if all is as it was added."""
    from generation.models.verify import verify

    found = run_guarded(lambda: list(verify(load_settings().folder_of_models)))
    show(
        [asdict(each) for each in found],
        (
            f"{'BAD ' if each.problem else 'ok  '} {each.name}{': ' if each.problem else ''}{each.problem}"
            for each in found
        ),
    )
    raise typer.Exit(1 if any(each.problem for each in found) else 0)


def _change_models(models_dir: Path, work: Callable[[], T]) -> T:
    """Run a command that changes the register of models: one at a time, or the slower would undo the other."""
    from db.lock import ModelsLock

    def work_locked() -> T:
        with ModelsLock(models_dir):
            return work()

    return run_guarded(work_locked)

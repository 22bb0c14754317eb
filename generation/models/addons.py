"""The LoRA and textual inversions that may be used: those that come with the built-in model, and those added."""

from __future__ import annotations

from pathlib import Path

from generation import paintbox
from generation.models.hashing import digest_file
from generation.models.inspect import describe
from generation.models.registry import Kind, ModelRegistry
from generation.requests.prompt_addons import PromptAddon


def load_built_in_loras(*, base_model: str) -> tuple[PromptAddon, ...]:
    """Return the examples that come with the built-in model; small, so they are hashed at every start."""
    return tuple(
        PromptAddon(
            name=path.stem,
            path=path,
            sha256=digest_file(path),
            context_width=describe(path).context_width,
            licence="MIT",
            base_model=base_model,
        )
        for path in sorted(paintbox.LORA_DIR.glob("*.safetensors"))
    )


def list_addons(
    register: ModelRegistry, kind: Kind, folder: Path, left_out: dict[str, str], taken: tuple[PromptAddon, ...] = ()
) -> tuple[PromptAddon, ...]:
    """Return those of a kind, built-in ones first. Why another cannot be offered goes to `left_out`."""
    extras = list(taken)
    for entry in register.entries:
        path = entry.place(folder)
        if entry.kind is not kind:
            continue
        if not path.is_file():
            left_out[entry.name] = f"{path} is not there."
        elif any(_is_same_name(kind, each.name, entry.name) for each in extras):
            left_out[entry.name] = "Its name is taken; remove it and add it under another."
        else:
            sha256 = next(iter(entry.files.values()))
            extras.append(
                PromptAddon(
                    name=entry.name,
                    path=path,
                    sha256=sha256,
                    family=entry.family,
                    context_width=entry.context_width,
                    licence=entry.licence,
                    base_model=entry.base_model,
                    trigger_words=entry.trigger_words,
                    page=entry.link,
                    defaults=entry.guessed.merged(entry.chosen),
                )
            )
    return tuple(extras)


def _is_same_name(kind: Kind, one: str, other: str) -> bool:
    """Compare words of a prompt in any case, LoRA by the exact name first."""
    return one.casefold() == other.casefold() if kind is Kind.EMBEDDING else one == other

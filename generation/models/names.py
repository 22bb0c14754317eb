"""Names added files: from their path, and unique.

Names are unique over all kinds, in whatever case: a word of a prompt is looked up by `casefold`, and a name that two
files have would mean one of them today and the other tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePath

from generation import paintbox
from generation.errors import ConfigurationError
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.requests.prompt_addons import MAX_NAME_CHARS, is_name

_LABELS = {
    Kind.MODEL: "model",
    Kind.LORA: "LoRA",
    Kind.EMBEDDING: "textual inversion",
    Kind.VAE: "VAE",
    Kind.TEXT_ENCODER: "text encoder",
    Kind.CHECKER: "safety checker",
    Kind.UPSCALER: "upscaler",
    Kind.CONTROL: "ControlNet",
    Kind.IP_ADAPTER: "IP-Adapter",
    Kind.IMAGE_ENCODER: "image encoder",
}
_ANY_FILE = "pytorch_lora_weights|adapter_model|diffusion_pytorch_model|(pytorch_)?model|learned_embeds"
_ANY_FOLDER = (
    "models|lora|loras|embeddings|checkpoint|checkpoints|weights|unet|vae|transformer|text_encoder(_[23])?|image_encoder|snapshots"
    "|[0-9a-f]{40}"
)
_ENDING = "([._-](fp16|bf16|fp32|ema|non_ema|[0-9]+|of))*"
_FILES, _FOLDERS = re.compile(f"({_ANY_FILE}){_ENDING}"), re.compile(f"({_ANY_FILE}|{_ANY_FOLDER}){_ENDING}")
"""Names that tools give to every file or folder they write."""


def name_for(path: PurePath) -> str:
    """Return the name people will write, from the file's name or, where any file is called that, its folder's."""
    own = path.name.removesuffix(".safetensors").removesuffix(".gguf")
    is_any = (_FILES if own != path.name else _FOLDERS).fullmatch(own.casefold())
    folders = (parent.name for parent in path.parents if parent.name)
    telling = (each for each in folders if not _FOLDERS.fullmatch(each.casefold())) if is_any else iter((own,))
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "-", next(telling, own))[:MAX_NAME_CHARS]
    return re.sub(r"\.{2,}", ".", plain).strip("-._+")


def label(kind: Kind) -> str:
    """Return what people call a kind."""
    return _LABELS[kind]


def label_one(kind: Kind) -> str:
    """Return what people call one of a kind, with its article."""
    return f"{'an' if _LABELS[kind][0] in 'Iiu' else 'a'} {_LABELS[kind]}"


def list_built_in_loras() -> Iterable[Path]:
    """Return the LoRA that come with the built-in model."""
    return sorted(paintbox.LORA_DIR.glob("*.safetensors"))


def check_name(register: ModelRegistry, name: str, *, replaces: bool = False) -> Entry | None:
    """Return the entry of that name if it is to be replaced.

    Raise `ConfigurationError` for a name nothing can have, a built-in one, or one that is taken and not to be replaced.
    """
    if not is_name(name):
        signs = f"1 to {MAX_NAME_CHARS} letters, digits, spaces or . _ + ( ) -, beginning with a letter or digit"
        raise ConfigurationError(problem=f"{name[:80]!r} cannot be a name.", remedy=f"Use --name with {signs}.")
    if name.casefold() == "paintbox":
        raise ConfigurationError(problem=f"{name} is the built-in model.", remedy="Choose another with --name.")
    if any(path.stem.casefold() == name.casefold() for path in list_built_in_loras()):
        raise ConfigurationError(problem=f"{name} is a built-in LoRA.", remedy="Choose another with --name.")
    taken = next((each for each in register.entries if each.name.casefold() == name.casefold()), None)
    if taken is None or (replaces and taken.name == name):
        return taken
    problem = f"There is already {label_one(taken.kind)} called {taken.name} ({taken.source or taken.path})."
    instead = "" if taken.name != name else f", or replace it by another {label(taken.kind)} with --replace"
    raise ConfigurationError(problem=problem, remedy=f"Choose another name with --name{instead}.")


def check_kind(taken: Entry | None, kind: Kind) -> None:
    """Raise `ConfigurationError` unless what is to be replaced is of the same kind as what replaces it."""
    if taken is not None and taken.kind is not kind:
        problem = f"{taken.name} is {label_one(taken.kind)} and cannot be replaced by {label_one(kind)}."
        raise ConfigurationError(problem=problem, remedy="Choose another name with --name.")

"""The register of the models folder, `models.json`: what was added, from where, and the SHA-256 of every file.

Written by `bot.py models add`, read when the bot starts. Files stay where they are; those fetched from the hub lie
beside the register.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from generation.errors import AtelierError, ConfigurationError
from generation.program import format_command
from generation.requests.cost import Work
from generation.requests.defaults import NO_OVERRIDES, DefaultOverrides

REGISTER = "models.json"
TEXT_PARTS = ("text_encoder", "text_encoder_2", "text_encoder_3")
PARTS = ("vae", *TEXT_PARTS)
"""What a model may take from elsewhere in place of its own, by its folder."""


class Kind(StrEnum):
    """What a file or folder is for."""

    MODEL = "model"  # a folder in the diffusers layout, or a single-file checkpoint
    LORA = "lora"
    EMBEDDING = "embedding"  # a textual inversion
    VAE = "vae"
    TEXT_ENCODER = "text-encoder"  # a language model that reads prompts for the models that name it
    CHECKER = "checker"  # a safety checker for the pictures of every model
    CONTROL = "controlnet"  # a ControlNet for models of one family
    IP_ADAPTER = "ip-adapter"  # lets models of one family see a picture beside the words
    IMAGE_ENCODER = "image-encoder"  # what IP-Adapters see pictures through
    UPSCALER = "upscaler"  # a network that enlarges finished pictures


class PreviewScore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a safety checker said of a preview: of the shared ones a probability, of others a margin, as `Score` has."""

    value: float
    step: float = 0.0
    is_age: bool = False


class Preview(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A small picture that shows what something does."""

    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    """Of the file that is kept of it, which has that name."""
    scores: dict[str, PreviewScore]
    added_checkers: tuple[str, ...] = ()
    """Those that the operator had added and that looked at it too, by their SHA-256."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that was added."""

    name: str
    kind: Kind
    path: str
    """Where it lies; relative to the models folder if inside."""
    files: dict[str, str]
    """SHA-256 of every file that is read, by its path below `path` (`.` for `path` itself)."""
    stamps: dict[str, tuple[int, int, int, int]] = {}
    """`hashing.Stamp` of each of `files` when it was hashed; files that still have it are not hashed again."""
    family: str = ""
    """Of a model: the engine's name of its kind, such as `sd` or `sdxl`; of a ControlNet, that of its models; of a
    LoRA for transformers, those that it fits, with blanks between."""
    context_width: int = 0
    licence: str = ""
    source: str = ""
    """The hub's `owner/name`, and `revision` the 40 hex digits of the commit; or `civitai`, and the number of a
    version. Both are empty for a local file."""
    revision: str = ""
    page: str = ""
    """The web page it was fetched from, where it has one."""
    base_model: str = ""
    """What it was trained on, as its page names it: for people to read."""
    trigger_words: tuple[str, ...] = ()
    """Of a LoRA: words that its author says to write into a prompt."""
    config: str = ""
    """Of a single file: the folder its settings and word lists are read from. Of a text encoder: its word list's."""
    config_files: dict[str, str] = {}
    vae: str = ""
    """Of a model: the name of the VAE that replaces its own."""
    text_encoder: str = ""
    text_encoder_2: str = ""
    text_encoder_3: str = ""
    """Of a model: the names of the text encoders that replace its own."""
    image_encoder: str = ""
    """Of an IP-Adapter: the name of what it sees pictures through."""
    storage: str = ""
    """Of a model: `fp8` where the operator wants its denoiser's weights kept so in memory."""
    prediction: str = ""
    """Of a model: what its UNet predicts (`epsilon` or `v_prediction`), where the operator said so."""
    work: Work | None = None
    """Of a model: what it takes, counted when it was added (`generation.requests.cost`)."""
    native_px: int = 0
    """Of a model in one file: the side of the pictures it was trained on, where its metadata says so."""
    guessed: DefaultOverrides = NO_OVERRIDES
    """Of a model or a LoRA: defaults that its name, page, metadata, card or scheduler told when it was added."""
    chosen: DefaultOverrides = NO_OVERRIDES
    """Of a model or a LoRA: defaults that the operator set with `models set`."""

    scale: int = 0
    """Of an upscaler: how many times the width and height of a picture come out."""
    control_kind: str = ""
    """Of a ControlNet: `t2i-adapter` or `union`; empty for a plain one."""
    num_modes: int = 0
    """Of a Union: how many kinds of maps it knows."""
    preview: Preview | None = None

    @property
    def link(self) -> str:
        """The web page to read more on; empty for a local file."""
        return self.page or (f"https://huggingface.co/{self.source}" if self.revision else "")

    def place(self, folder: Path) -> Path:
        """Return the absolute path, given the models folder."""
        return folder / self.path


class ModelRegistry(msgspec.Struct, frozen=True, kw_only=True):
    """All entries, in the order they were added."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> ModelRegistry:
        """Return the entries of `folder`; none where nothing was added. Raise `ConfigurationError` if it cannot be
        read."""
        path = folder / REGISTER
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, RecursionError, AtelierError) as error:  # the last: defaults that cannot be
            remedy = f"Correct it, or move it away and add your models again with {format_command('models add')}."
            raise ConfigurationError(problem=f"{path} cannot be read ({error}).", remedy=remedy) from None

    def write(self, folder: Path) -> None:
        """Replace the file in one step. Raise `ConfigurationError` if it cannot be written."""
        path = folder / REGISTER
        try:
            folder.mkdir(parents=True, exist_ok=True)
            written = path.with_suffix(".json.new")
            with written.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            written.replace(path)
        except OSError as error:
            problem = f"{path} cannot be written ({type(error).__name__})."
            raise ConfigurationError(problem=problem, remedy="Set ATELIER_MODELS_DIR to a folder of yours.") from None

    def get(self, name: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.name == name), None)

    def with_entry(self, entry: Entry) -> ModelRegistry:
        """Return it with one more entry, replacing one of the same name (see `names.check_name`)."""
        return ModelRegistry(entries=(*self.without(entry.name).entries, entry))

    def replacing(self, entry: Entry) -> ModelRegistry:
        """Return it with this entry in the place of the one of its name: the order of models does not change."""
        return ModelRegistry(entries=tuple(entry if each.name == entry.name else each for each in self.entries))

    def without(self, name: str) -> ModelRegistry:
        return ModelRegistry(entries=tuple(each for each in self.entries if each.name != name))

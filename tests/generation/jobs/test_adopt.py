"""Prompts from a file are read like typed ones: LoRA, textual inversions, lengths, and what is missing here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from generation.errors import InvalidRequestError
from generation.images.interchange import ForeignSettings
from generation.jobs.adopt import adopt
from generation.jobs.errors import NoPromptInFileError, PromptNotReadError
from generation.models.catalog import Catalog
from generation.requests.errors import (
    AddonMismatchError,
    AddonNamedTwiceError,
    EmptyPromptError,
    LoraInNegativePromptError,
    LoraWeightError,
    PromptTooLongError,
    UnknownLoraError,
    UnknownTagError,
)
from generation.requests.prompt_addons import Adapter, Embedding, PromptAddon, read_prompts

ONE = PromptAddon(name="one", path=Path("one"), sha256="11" * 32)
MOODY = PromptAddon(name="moody", path=Path("moody"), sha256="22" * 32)
WIDE = PromptAddon(name="wide", path=Path("wide"), sha256="33" * 32, context_width=2048)
MODEL = replace(Catalog.open("paintbox").default, loras=(ONE, WIDE), embeddings=(MOODY,))
PLAIN = ForeignSettings(tool="A1111", prompt="a moody star <lora:One:0.8>", negative="Moody", clip_skip=2)


def test_lora_learned_words_and_clip_skip_are_read_as_typed_ones() -> None:
    spec = adopt(PLAIN, MODEL, seed=5).spec
    assert (spec.prompt, spec.adapters) == ("a moody star", (Adapter("one", ONE.sha256, 0.8),))
    assert (spec.embeddings, spec.clip_skip, spec.seed) == ((Embedding("moody", MOODY.sha256),), 2, 5)
    typed = read_prompts(MODEL, PLAIN.prompt, PLAIN.negative)
    assert (spec.prompt, spec.negative, spec.adapters, spec.embeddings, spec.syntax) == typed


def test_lora_that_stand_beside_the_prompt_are_called_too() -> None:
    beside = replace(PLAIN, prompt="a star", loras=("<lora:one:0.5>",))
    assert adopt(beside, MODEL, seed=5).spec.adapters == (Adapter("one", ONE.sha256, 0.5),)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"prompt": "a star <lora:not-here:1>"}, UnknownLoraError),
        ({"loras": ("<lora:not-here:1>",)}, UnknownLoraError),
        ({"prompt": "a star <lora:wide:1>"}, AddonMismatchError),
        ({"prompt": "a star <lora:one:1> <lora:one:1>"}, AddonNamedTwiceError),
        ({"loras": ("<lora:one:9>",)}, LoraWeightError),
        ({"prompt": "a star <hypernet:x:1>"}, UnknownTagError),
        ({"negative": "<lora:one:1>"}, LoraInNegativePromptError),
        ({"prompt": "word, " * 400}, PromptTooLongError),
        ({"negative": "word, " * 400}, PromptTooLongError),
        ({"prompt": "<lora:one:1>"}, EmptyPromptError),
        ({"prompt": ""}, NoPromptInFileError),
        ({"prompt": "", "unread": ("Nobody's",)}, PromptNotReadError),
    ],
)
def test_adopted_prompts_get_the_same_refusals(changes: dict[str, Any], kind: type[InvalidRequestError]) -> None:
    with pytest.raises(kind):
        adopt(replace(PLAIN, **changes), MODEL, seed=5)


def test_the_last_32_bits_of_a_seed_count() -> None:
    for seed in (156680208700286, 2**64 - 5, 2**32, 7):
        ours = adopt(replace(PLAIN, seed=seed), MODEL, seed=5).spec.seed
        drawn = [torch.randn(16, generator=torch.Generator().manual_seed(each)) for each in (seed, ours)]
        assert torch.equal(*drawn)


def test_clip_skip_does_not_apply_to_sdxl() -> None:
    assert adopt(PLAIN, replace(MODEL, family="sdxl"), seed=5).spec.clip_skip == 1
    assert adopt(replace(PLAIN, clip_skip=None), MODEL, seed=5).spec.clip_skip == 1

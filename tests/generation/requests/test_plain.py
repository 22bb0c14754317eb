"""What another program can paint from its words alone."""

from __future__ import annotations

from typing import Any

import pytest

from generation.requests.edits import Hires, Upscale, Variation
from generation.requests.plain import is_plain
from generation.requests.prompt_addons import Adapter, Embedding
from tests.generation.engine.painting import a_spec, a_start


def test_words_size_steps_guidance_and_seed_are_plain() -> None:
    assert is_plain(a_spec(prompt="a red cat, asleep", negative="dog", steps=9, seed=1, width_px=128))


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "a (red:1.2) cat"},
        {"prompt": "a [red] cat"},
        {"negative": "(dog)"},
        {"prompt": "a cat BREAK a dog"},
        {"start": a_start()},
        {"upscale": Upscale(sha256="0" * 64, factor=2)},
        {"variation": Variation(seed=3, strength=0.1)},
        {"hires": Hires(factor=2.0)},
        {"adapters": (Adapter(name="ink", sha256="0" * 64, weight=1.0),)},
        {"embeddings": (Embedding(name="ink", sha256="0" * 64),)},
        {"clip_skip": 2},
        {"rescale": 0.7},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_whatever_else_is_asked_for_stays_here(changes: dict[str, Any]) -> None:
    assert not is_plain(a_spec(**changes))

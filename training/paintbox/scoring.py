"""Scores the model: prompts that training never used, generated, and read by the judge."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image

from training.paintbox import captions, judge
from training.paintbox.palette import COLOURS
from training.paintbox.things import THINGS
from training.paintbox.world import (
    BACKGROUNDS,
    Relation,
    Scene,
    is_held_out,
    is_visible,
    pair,
    several,
    single,
)

_BATCH: Final = 8


@dataclass(frozen=True)
class Score:
    """How many of the requested were right."""

    right: int
    asked: int

    @property
    def share(self) -> float:
        """Return a share between 0 and 1."""
        return self.right / self.asked


class Painter:
    """The pipeline as an outsider would use it: prompts and seeds in, pictures out."""

    def __init__(self, folder: Path, *, steps: int, guidance: float, device: str) -> None:
        pipe = StableDiffusionPipeline.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, use_karras_sigmas=True)
        pipe.set_progress_bar_config(disable=True)
        self.pipe: Any = pipe.to(device)
        self._steps, self._guidance = steps, guidance

    def paint(
        self, prompts: Sequence[str], *, first_seed: int = 0, negative: Sequence[str] | None = None
    ) -> list[Image.Image]:
        """Generate one picture per prompt; the n-th has the seed `first_seed + n`."""
        painted: list[Image.Image] = []
        for start in range(0, len(prompts), _BATCH):
            part = list(prompts[start : start + _BATCH])
            seeds = range(first_seed + start, first_seed + start + len(part))
            without = None if negative is None else list(negative[start : start + _BATCH])
            painted += self.pipe(
                part,
                negative_prompt=without,
                num_inference_steps=self._steps,
                guidance_scale=self._guidance,
                generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            ).images
        return painted


def held_out_triples(rng: random.Random, count: int) -> list[tuple[str, str, str]]:
    """Return `count` different held-out (colour, thing, background), things taken in turn."""
    every = [
        (colour, thing, background)
        for background in BACKGROUNDS
        for colour in COLOURS
        for thing in THINGS
        if is_visible(colour, background) and is_held_out(colour, thing, background)
    ]
    rng.shuffle(every)
    turn = {triple: sum(t[1] == triple[1] for t in every[:index]) for index, triple in enumerate(every)}
    return sorted(every, key=turn.__getitem__)[:count]


def score_singles(painter: Painter, count: int, seed: int) -> dict[str, Score]:
    """Score colour, background and thing of pictures of one thing."""
    scenes = single_scenes(count, seed)
    return score_pictures(scenes, painter.paint([captions.plainly(scene) for scene in scenes]))


def single_scenes(count: int, seed: int) -> list[Scene]:
    """Return `count` held-out scenes of one thing."""
    rng = random.Random(seed)
    triples = held_out_triples(rng, count)
    return [single(rng, thing, colour, place, size="medium", look="flat") for colour, thing, place in triples]


def score_pictures(scenes: Sequence[Scene], pictures: Sequence[Image.Image]) -> dict[str, Score]:
    """Score colour, background and thing of a picture of each scene."""
    right = [_marks(scene, judge.read(picture)) for scene, picture in zip(scenes, pictures, strict=True)]
    return {name: Score(sum(marks[name] for marks in right), len(right)) for name in ("colour", "background", "thing")}


def _marks(scene: Scene, reading: judge.Reading) -> dict[str, bool]:
    """Return what a picture of one thing got right; an empty picture has only its background."""
    wanted = scene.placed[0]
    largest = reading.seen[0] if reading.seen else None
    return {
        "background": reading.background == scene.background,
        "colour": largest is not None and largest.colour == wanted.colour,
        "thing": largest is not None and largest.thing == wanted.thing,
    }


def score_counts(painter: Painter, count: int, seed: int) -> Score:
    """Score the number of pieces in pictures of two or three of a thing."""
    rng = random.Random(seed)
    scenes = [
        several(rng, thing, colour, place, count=2 + index % 2, size="medium", look="flat")
        for index, (colour, thing, place) in enumerate(held_out_triples(rng, count))
    ]
    pictures = painter.paint([captions.plainly(scene) for scene in scenes])
    right = sum(
        len(judge.read(picture).seen) == len(scene.placed) for scene, picture in zip(scenes, pictures, strict=True)
    )
    return Score(right, count)


def score_relations(painter: Painter, count: int, seed: int) -> Score:
    """Score two things: both colours there, and on the right sides of each other."""
    rng = random.Random(seed)
    scenes = []
    relations: tuple[Relation, ...] = ("left", "right", "above", "below")
    for index, (colour, thing, place) in enumerate(held_out_triples(rng, count)):
        others = [name for name in COLOURS if name != colour and is_visible(name, place)]
        second = (rng.choice([name for name in THINGS if name != thing]), rng.choice(others))
        relation = relations[index % len(relations)]
        scenes.append(pair(rng, (thing, colour), second, place, relation=relation, look="flat"))
    pictures = painter.paint([captions.plainly(scene) for scene in scenes])
    right = sum(_is_related(scene, picture) for scene, picture in zip(scenes, pictures, strict=True))
    return Score(right, count)


def _is_related(scene: Scene, picture: Image.Image) -> bool:
    offset = judge.related(judge.read(picture), *scene.placed)
    if offset is None:
        return False
    x, y = offset
    sides = {"left": -x, "right": x, "above": -y, "below": y}
    assert scene.relation is not None
    return sides[scene.relation] > 0 and sides[scene.relation] == max(sides.values())


def score_negative(painter: Painter, count: int, seed: int) -> Score:
    """Score prompts without a colour, generated twice from one seed: the first colour is then forbidden."""
    rng = random.Random(seed)
    prompts = [f"a {rng.choice(list(THINGS))} on a {rng.choice(list(COLOURS))} background" for _ in range(count)]
    free = [judge.read(picture).seen for picture in painter.paint(prompts)]
    asked = [(index, seen[0].colour) for index, seen in enumerate(free) if seen]
    right = 0
    for index, colour in asked:
        (picture,) = painter.paint([prompts[index]], first_seed=index, negative=[colour])
        seen = judge.read(picture).seen
        right += bool(seen) and all(piece.colour != colour for piece in seen)
    return Score(right, len(asked))

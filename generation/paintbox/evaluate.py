"""`python -m generation.paintbox.evaluate --json`: judges the built-in networks on what training never showed them.

No trained model takes part in judging: pictures are read by `judge`, reconstructions by PSNR. The last line printed
is one JSON object; the bars stand in `BARS`.
"""

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image

from generation.paintbox import DEFAULT_GUIDANCE, DEFAULT_STEPS, MODEL_DIR, captions, judge
from generation.paintbox.draw import draw
from generation.paintbox.palette import COLOURS
from generation.paintbox.things import THINGS
from generation.paintbox.training.pictures import to_tensor
from generation.paintbox.world import (
    BACKGROUNDS,
    Relation,
    Scene,
    is_held_out,
    is_visible,
    pair,
    several,
    single,
)

BARS: Final = {
    "vae_psnr_mean_db": 30.0,
    "vae_psnr_worst_db": 27.0,
    "colour": 0.97,
    "background": 0.97,
    "thing": 0.90,
    "count": 0.80,
    "negative": 0.90,
}
"""What each score must reach."""

_BATCH: Final = 8


@dataclass(frozen=True)
class Score:
    """How many of the asked were right."""

    right: int
    asked: int

    @property
    def share(self) -> float:
        """Between 0 and 1."""
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
        """One picture a prompt; the n-th has the seed `first_seed + n`."""
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
    """`count` different (colour, thing, background) that training never saw, things taken in turn."""
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
    """Colour, background and thing of pictures of one thing."""
    rng = random.Random(seed)
    triples = held_out_triples(rng, count)
    scenes = [single(rng, thing, colour, place, size="medium", look="flat") for colour, thing, place in triples]
    readings = [judge.read(picture) for picture in painter.paint([captions.plainly(s) for s in scenes])]
    right = [_marks(scene, reading) for scene, reading in zip(scenes, readings, strict=True)]
    return {name: Score(sum(marks[name] for marks in right), count) for name in ("colour", "background", "thing")}


def _marks(scene: Scene, reading: judge.Reading) -> dict[str, bool]:
    """What a picture of one thing got right; an empty picture has only its background."""
    wanted = scene.placed[0]
    largest = reading.seen[0] if reading.seen else None
    return {
        "background": reading.background == scene.background,
        "colour": largest is not None and largest.colour == wanted.colour,
        "thing": largest is not None and largest.thing == wanted.thing,
    }


def score_counts(painter: Painter, count: int, seed: int) -> Score:
    """Two or three of a thing: as many pieces, whatever they are."""
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
    """Two things: both colours there, and on the right sides of each other."""
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
    """Prompts that leave the colour open, painted twice from one seed: the colour of the first is forbidden next."""
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


@torch.no_grad()
def reconstruction_db(vae: Any, pictures: Sequence[Image.Image]) -> list[float]:
    """PSNR in dB of each picture after encoding (the mean, no noise) and decoding."""
    scores: list[float] = []
    for start in range(0, len(pictures), _BATCH):
        wanted = to_tensor(pictures[start : start + _BATCH]).to(vae.device)
        got = vae.decode(vae.encode(wanted).latent_dist.mean).sample.clamp(-1, 1)
        error = ((got - wanted) / 2).square().mean((1, 2, 3))
        scores += (-10 * torch.log10(error)).tolist()
    return scores


def held_out_pictures(count: int, seed: int, side_px: int) -> list[Image.Image]:
    """Drawings of held-out combinations, one to three things, all looks."""
    rng = random.Random(seed)
    pictures = []
    for index, (colour, thing, place) in enumerate(held_out_triples(rng, count)):
        look = ("flat", "flat", "flat", "outline", "pixel")[index % 5]
        if index % 3:
            scene = single(rng, thing, colour, place, size="medium", look=look)  # type: ignore[arg-type]
        else:
            scene = several(rng, thing, colour, place, count=2, size="medium", look=look)  # type: ignore[arg-type]
        pictures.append(draw(scene, side_px))
    return pictures


def evaluate(painter: Painter, *, count: int, seed: int) -> dict[str, float]:
    """All scores of the text-to-picture model; `count` pictures for the main ones, a third for the others."""
    vae = painter.pipe.vae
    side_px = painter.pipe.unet.config.sample_size * 8
    decibels = reconstruction_db(vae, held_out_pictures(count, seed, side_px))
    scores = score_singles(painter, count, seed)
    fewer = max(1, count // 3)
    scores["count"] = score_counts(painter, fewer, seed)
    scores["relation"] = score_relations(painter, fewer, seed)
    scores["negative"] = score_negative(painter, fewer, seed)
    measured = {"vae_psnr_mean_db": sum(decibels) / len(decibels), "vae_psnr_worst_db": min(decibels)}
    return measured | {name: score.share for name, score in scores.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m generation.paintbox.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--count", type=int, default=180, help="pictures for the main scores")
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--guidance", type=float, default=DEFAULT_GUIDANCE)
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    args = parser.parse_args()
    started = time.monotonic()
    painter = Painter(args.model, steps=args.steps, guidance=args.guidance, device=args.device)
    scores = evaluate(painter, count=args.count, seed=args.seed)
    for name, value in scores.items():
        bar = BARS.get(name)
        verdict = "" if bar is None else ("reached" if value >= bar else f"below the bar of {bar}")
        print(f"{name:20} {value:8.3f}  {verdict}")
    if args.json:
        rounded = {name: round(value, 4) for name, value in scores.items()}
        missed = [name for name, bar in BARS.items() if scores[name] < bar]
        print(json.dumps(rounded | {"missed": missed, "took_s": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()

"""`python -m training.paintbox.evaluate --json`: judges the built-in networks on what training never showed them.

No trained model takes part in judging: pictures are read by `judge`, reconstructions by PSNR. The last line printed
is one JSON object; the bars stand in `BARS`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Final

import torch

from generation.paintbox import DEFAULT_GUIDANCE, DEFAULT_STEPS, MODEL_DIR
from training.paintbox import measures, scoring

BARS: Final = {
    "vae_psnr_mean_db": 30.0,
    "vae_psnr_worst_db": 27.0,
    "colour": 0.97,
    "background": 0.97,
    "thing": 0.90,
    "count": 0.80,
    "negative": 0.90,
    "safety_precision": 0.95,
    "safety_recall": 0.95,
    "upscaler_gain_db": 2.0,
}
"""What each score must reach."""

LIMITS: Final = {"weights_mb": 40.0, "grid_units": 30.0}
"""What each measure may not pass."""


def evaluate_painter(painter: scoring.Painter, *, count: int, seed: int) -> dict[str, float]:
    """Return the scores of the text-to-image model; `count` pictures for the main ones, a third for others."""
    side_px = painter.pipe.unet.config.sample_size * 8
    pictures = measures.held_out_pictures(count, seed, side_px)
    decibels = measures.reconstruction_db(painter.pipe.vae, pictures)
    scores = scoring.score_singles(painter, count, seed)
    fewer = max(1, count // 3)
    scores["count"] = scoring.score_counts(painter, fewer, seed)
    scores["relation"] = scoring.score_relations(painter, fewer, seed)
    scores["negative"] = scoring.score_negative(painter, fewer, seed)
    measured = {"vae_psnr_mean_db": sum(decibels) / len(decibels), "vae_psnr_worst_db": min(decibels)}
    return measured | {name: score.share for name, score in scores.items()} | measures.grid_seconds(painter)


def evaluate_others(folder: Path, painter: scoring.Painter, *, count: int, seed: int) -> dict[str, float]:
    """Return the scores of the checker and the upscaler, and the size of all weights."""
    scores = {"weights_mb": measures.weights_mb(folder)}
    if (folder / "safety_checker").is_dir():
        scores |= measures.checker_scores(
            folder / "safety_checker", count=4 * count, seed=seed, painter=painter, painted=count // 3
        )
    if (folder / "upscaler").is_dir():
        gain = measures.upscaler_gain_db(folder / "upscaler", count=max(1, count // 3), seed=seed)
        scores["upscaler_gain_db"] = gain
    return scores


def missed_bars(scores: dict[str, float]) -> list[str]:
    """Return the bars that these scores do not reach, a score that is not there among them."""
    missed = [name for name, least in BARS.items() if not scores.get(name, -1.0) >= least]
    return missed + [name for name, most in LIMITS.items() if not scores.get(name, most + 1) <= most]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.paintbox.evaluate", description=__doc__)
    parser.add_argument("--folder", type=Path, default=MODEL_DIR.parent, help="holds model/, upscaler/ ...")
    parser.add_argument("--count", type=int, default=180, help="pictures for the main scores")
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--guidance", type=float, default=DEFAULT_GUIDANCE)
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    args = parser.parse_args()
    started = time.monotonic()
    painter = scoring.Painter(args.folder / "model", steps=args.steps, guidance=args.guidance, device=args.device)
    scores = evaluate_painter(painter, count=args.count, seed=args.seed)
    scores |= evaluate_others(args.folder, painter, count=args.count, seed=args.seed)
    missed = missed_bars(scores)
    for name, value in scores.items():
        bar = BARS.get(name, LIMITS.get(name))
        verdict = "" if bar is None else f"({'missed' if name in missed else 'reached'}: {bar:g})"
        print(f"{name:24} {value:9.3f}  {verdict}")
    if args.json:
        rounded = {name: round(value, 4) for name, value in scores.items()}
        print(json.dumps(rounded | {"missed": missed, "took_s": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()

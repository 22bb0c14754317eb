"""`python -m training.paintbox.grid OUT.png`: the model card's picture grid, always the same prompts and seeds."""

import argparse
from pathlib import Path
from typing import Final

from PIL import Image

from generation.paintbox import DEFAULT_GUIDANCE, DEFAULT_STEPS, MODEL_DIR
from training.paintbox.scoring import Painter

PROMPTS: Final = (
    "a red circle on a blue background",
    "a large yellow star at night",
    "a purple house in the snow",
    "a green tree in a meadow",
    "an orange fish over the sea",
    "a pink heart on a white background",
    "three small white flowers on a green background",
    "two red mushrooms in a meadow",
    "a yellow moon over the sea at night",
    "a black cat on a pink background",
    "a cyan bird on a white background",
    "a red car in the desert",
    "a brown spider on a yellow background",
    "a yellow sun above a red boat on a cyan background",
    "a blue diamond left of an orange square on a white background",
    "a white ring on a purple background",
    "a pink flower in the sky, pixel art",
    "a green car on a white background, outline drawing",
    "three small yellow stars over the sea at night, pixel art",
    "a large red triangle on a gray background",
    "a green cross on a black background",
    "two orange cats on a brown background",
    "a white boat on a red background",
    "a large red mushroom in the snow",
)
_COLUMNS: Final = 6
_GAP_PX: Final = 6


def lay_out(pictures: list[Image.Image], columns: int = _COLUMNS, gap_px: int = _GAP_PX) -> Image.Image:
    """Return the pictures (all of one size) in rows on white."""
    side = pictures[0].width
    rows = -(-len(pictures) // columns)
    step = side + gap_px
    sheet = Image.new("RGB", (columns * step + gap_px, rows * step + gap_px), "white")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (gap_px + index % columns * step, gap_px + index // columns * step))
    return sheet


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.paintbox.grid", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--guidance", type=float, default=DEFAULT_GUIDANCE)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    painter = Painter(args.model, steps=args.steps, guidance=args.guidance, device="cpu")
    lay_out(painter.paint(PROMPTS, first_seed=args.seed)).save(args.out, optimize=True)


if __name__ == "__main__":
    main()

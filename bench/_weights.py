"""Which weights a benchmark runs with: those of a model, or random ones, written on the spot."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch is loaded when a benchmark runs, not when the list of benchmarks is made
    from generation.models.catalog import Model

SHAPES = ("toy", "sd15", "sdxl")
FAMILIES = (
    "sd",
    "sdxl",
    "zimage",
    "klein",
    "qwenimage",
    "qwenedit",
    "qweneditplus",
    "krea2",
    "ernie",
    "flux",
    "kontext",
    "chroma",
    "sd3",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add `--model`, `--shape` and `--family`."""
    parser.add_argument("--model", default="paintbox")
    parser.add_argument("--shape", choices=SHAPES, help="random weights of that shape instead of a model")
    parser.add_argument("--family", choices=FAMILIES, help="random weights of that family at toy size")


def open_chosen(options: argparse.Namespace, folder: Path) -> Model:
    """Return the model that the options name; random weights are written under `folder`.

    One of a family costs what is counted of it: at the price of the published model its buckets would not be measured.
    """
    from bench._painting import open_counted, open_model
    from bench._random_model import save_random_model, save_toy_of

    if options.family:
        return open_counted(str(save_toy_of(options.family, folder)))
    return open_model(str(save_random_model(options.shape, folder)) if options.shape else options.model)


def name_chosen(options: argparse.Namespace) -> str:
    """Return what the options name, in a word."""
    return str(options.family or options.shape or options.model)

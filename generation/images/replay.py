"""Compares a replayed picture with its original: the verdict, and the reason if they differ."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from generation.images.codec import pixels_sha256
from generation.requests.recipe import Fingerprint, Recipe
from generation.translatable import Phrase

NEAR_DB = 30.0
"""Above this peak signal-to-noise ratio most people see no difference."""


class Agreement(StrEnum):
    """How two pictures compare."""

    IDENTICAL = "identical"  # every byte of the pixels
    NEAR = "near"  # the same to the eye
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayVerdict:
    """The outcome of a replay. `psnr_db` is None when identical (it would be infinite) or unknown."""

    verdict: Agreement
    psnr_db: float | None
    why: str


def judge(recipe: Recipe, replayed: bytes, here: Fingerprint, *, original: bytes | None) -> ReplayVerdict:
    """Compare replayed RGB8 rows with what the recipe promises, and with the original's pixels where they are known."""
    if pixels_sha256(replayed) == recipe.pixels_sha256:
        return ReplayVerdict(verdict=Agreement.IDENTICAL, psnr_db=None, why=Phrase("Every byte is the same."))
    psnr = psnr_db(original, replayed) if original is not None and len(original) == len(replayed) else None
    verdict = Agreement.NEAR if psnr is not None and psnr >= NEAR_DB else Agreement.DIFFERENT
    return ReplayVerdict(verdict=verdict, psnr_db=psnr, why=_reason(recipe, here))


def psnr_db(first: bytes, second: bytes) -> float:
    """Return the peak signal-to-noise ratio of two RGB8 pictures of one size, in dB; infinite when equal."""
    a, b = (np.frombuffer(data, np.uint8).astype(np.float64) for data in (first, second))
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def _reason(recipe: Recipe, here: Fingerprint) -> str:
    changed = here.differences(recipe.fingerprint)
    if changed:
        return Phrase("Bytes are promised under the same fingerprint only: {changes}.", changes=changed)
    return Phrase("The fingerprint is the same, so this should not happen: the recipe or the model was changed.")

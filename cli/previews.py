"""Takes the preview of what is added: decoded without secrets, looked at by the safety checkers, kept small."""

from __future__ import annotations

from generation.errors import InvalidRequestError
from generation.images.untrusted_decoder import fit_picture_now
from generation.models.registry import PreviewScore
from generation.models.shared_additions import AddedChecker
from generation.workers.trial_load import score_preview

SIDE_PX = 160
"""Discord shows the picture beside a text at about half of it."""


def take_preview(found: bytes, checkers: tuple[AddedChecker, ...]) -> tuple[bytes, dict[str, PreviewScore]] | None:
    """Return a stranger's picture as a small square, with its scores; None if it cannot be read or judged."""
    try:
        png = fit_picture_now(found, (SIDE_PX, SIDE_PX))
    except InvalidRequestError:
        return None
    scores = score_preview(png, checkers)
    return None if scores is None else (png, scores)

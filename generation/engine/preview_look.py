"""Has the safety checkers look at a preview, before it is kept: `python -m generation.engine.preview_look`.

In a process of its own, with the checkers that look at every picture. Reads a `PreviewQuestion` on stdin, whose picture
was written by Atelier; answers with the scores as JSON. Those of the shared checkers are probabilities, because their
thresholds may be others by the time that the preview is shown.
"""

from __future__ import annotations

import os
import sys

import msgspec
import numpy as np

from generation.engine.checkers.shared import load_shared
from generation.engine.checkers.verdict import Checker, look_with
from generation.images.codec import decode_png
from generation.models.registry import PreviewScore
from generation.models.shared_additions import AddedChecker
from generation.workers.engine_settings import CheckerThresholds
from generation.workers.frames import PreviewQuestion, decode_preview_question

_ABOVE_NOTHING = CheckerThresholds(open_nsfw=0.0, hentai=0.0, porn=0.0, sexy=0.0)


def main() -> None:
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that other output does not mix with ours
    answer.write(msgspec.json.encode(look(decode_preview_question(sys.stdin.buffer.read()))))
    answer.flush()


def look(question: PreviewQuestion) -> dict[str, PreviewScore]:
    """Return what each checker scores. Raise `ConfigurationError` if one does not load, as an engine does."""
    pixels, (width, height) = decode_png(question.png)
    picture = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
    checkers = load_shared(_ABOVE_NOTHING) + (_load_added(question.checkers) if question.checkers else ())
    return {
        name: PreviewScore(value=score.margin, step=score.step, is_age=score.is_age)
        for name, score in look_with(checkers, picture).items()
    }


def _load_added(added: tuple[AddedChecker, ...]) -> tuple[Checker, ...]:
    import torch  # only here: it takes seconds, and a folder that is scanned may hold hundreds of previews

    from generation.engine.checkers.clip import load_added
    from generation.engine.devices import Device

    device = Device(torch.device("cpu"), torch.float32, 1)
    return tuple(load_added(each, device) for each in added)


if __name__ == "__main__":
    main()

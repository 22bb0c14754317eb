"""LoRA are tried in the test's own process: the same code as in one of its own, without its start."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import models
from generation.requests.prompt_addons import PromptAddon


def _require_fitting_here(lora: PromptAddon, folders: tuple[Path, ...]) -> None:
    from tests.generation.engine.trial_here import require_fitting_here  # imports torch, which few tests here need

    require_fitting_here(lora, folders)


@pytest.fixture(autouse=True)
def _without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "require_fitting", _require_fitting_here)

"""Tries, with the engine's own code, whether a model loads or a LoRA fits, before it is added. Without network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from generation.errors import ConfigurationError
from generation.models.catalog import Model
from generation.models.registry import PreviewScore
from generation.models.shared_additions import AddedChecker
from generation.requests.prompt_addons import PromptAddon
from generation.workers.environment import worker_environment
from generation.workers.frames import HEADER, LoraQuestion, PreviewQuestion, WorkerConfig, encode

_ROOT = Path(__file__).resolve().parents[2]


def require_loadable(model: Model) -> None:
    """Load a model once, in a process of its own. Raise `ConfigurationError` with the reason if it does not load."""
    _try("generation.engine.trial", WorkerConfig(models=(model,)), model.path)


def require_fitting(lora: PromptAddon, folders: tuple[Path, ...]) -> None:
    """Try a LoRA on the models it may be for, in a process of its own. Raise `ConfigurationError` with the reason if it
    fits none."""
    _try("generation.engine.lora_trial", LoraQuestion(lora=lora, folders=folders), lora.path)


def score_preview(png: bytes, checkers: tuple[AddedChecker, ...]) -> dict[str, PreviewScore] | None:
    """Return what the safety checkers score of a picture of ours, in a process of its own; None if one cannot."""
    looked = _run("generation.engine.preview_look", PreviewQuestion(png=png, checkers=checkers))
    if looked.returncode:
        return None
    try:
        scores = msgspec.json.decode(looked.stdout, type=dict[str, PreviewScore])
    except msgspec.MsgspecError:  # a number that is none is written as null
        return None
    return scores


def _try(module: str, question: Any, path: Path) -> None:
    """Run one of the engine's trials. Raise `ConfigurationError` with what it answers, if it answers anything."""
    tried = _run(module, question)
    if tried.returncode:
        last = tried.stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1][:200]
        problem = f"{path} could not be tried: its process ended with status {tried.returncode} ({last})."
        raise ConfigurationError(problem=problem, remedy="Check that there is enough memory. It was not added.")
    if tried.stdout:
        raise ConfigurationError(problem=tried.stdout.decode(errors="replace"), remedy="It was not added.")


def _run(module: str, question: Any) -> subprocess.CompletedProcess[bytes]:
    environment = worker_environment(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), environment.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "generation.workers.short_process", module],
        input=encode(question)[HEADER.size :],
        capture_output=True,
        env=environment,
        check=False,
    )

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
from generation.requests.cost import Work
from generation.requests.prompt_addons import PromptAddon
from generation.workers.environment import worker_environment
from generation.workers.frames import HEADER, LoraQuestion, PreviewQuestion, TrialResult, WorkerConfig, encode

_ROOT = Path(__file__).resolve().parents[2]


def require_loadable(model: Model) -> Work | None:
    """Load a model once, in a process of its own, and return what it takes, where that can be counted.

    Raise `ConfigurationError` with the reason if it does not load.
    """
    answer = _try("generation.engine.trial", WorkerConfig(models=(model,)), model.path)
    result = msgspec.json.decode(answer, type=TrialResult)
    _require_no_problem(result.problem)
    return result.work


def require_fitting(lora: PromptAddon, folders: tuple[Path, ...]) -> None:
    """Try a LoRA on the models it may be for, in a process of its own. Raise `ConfigurationError` with the reason if it
    fits none."""
    answer = _try("generation.engine.lora_trial", LoraQuestion(lora=lora, folders=folders), lora.path)
    _require_no_problem(answer.decode(errors="replace"))


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


def _try(module: str, question: Any, path: Path) -> bytes:
    """Run one of the engine's trials and return what it answers. Raise `ConfigurationError` if its process fails."""
    tried = _run(module, question)
    if tried.returncode:
        last = tried.stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1][:200]
        problem = f"{path} could not be tried: its process ended with status {tried.returncode} ({last})."
        raise ConfigurationError(problem=problem, remedy="Check that there is enough memory. It was not added.")
    return tried.stdout


def _require_no_problem(problem: str) -> None:
    if problem:
        raise ConfigurationError(problem=problem, remedy="It was not added.")


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

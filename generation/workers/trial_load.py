"""Tries, with the engine's own code, whether a model loads before it is added, in a process without network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from generation.errors import ConfigurationError
from generation.models.catalog import Model
from generation.workers.environment import worker_environment
from generation.workers.frames import HEADER, WorkerConfig, encode

_ROOT = Path(__file__).resolve().parents[2]


def require_loadable(model: Model) -> None:
    """Load a model once, in a process of its own. Raise `ConfigurationError` with the reason if it does not load."""
    environment = worker_environment(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), environment.get("PYTHONPATH"))))
    tried = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "generation.engine.trial"],
        input=encode(WorkerConfig(models=(model,)))[HEADER.size :],
        capture_output=True,
        env=environment,
        check=False,
    )
    if tried.returncode:
        last = tried.stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1][:200]
        problem = f"{model.path} could not be tried: its process ended with status {tried.returncode} ({last})."
        raise ConfigurationError(problem=problem, remedy="Check that there is enough memory. It was not added.")
    if tried.stdout:
        raise ConfigurationError(problem=tried.stdout.decode(errors="replace"), remedy="It was not added.")

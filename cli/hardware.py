"""What the doctor says of the graphics card: which one is used, how each model is kept on it, and one that is not used.

torch tells the first two, in a process of its own. A card that torch cannot use is found without it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from cli.workers import find_devices
from config import Settings
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.workers.environment import worker_environment
from generation.workers.frames import HEADER, WorkerConfig, encode

_ROOT = Path(__file__).resolve().parents[1]
_SMI_TIMEOUT_S = 20
_HOW = {
    "full": "kept whole",
    "sliced": "kept in slices",
    "offload": "moved to the card part by part",
    "layers": "moved to the card layer by layer",
}
INSTALL = "uv pip install --reinstall torch --torch-backend=auto"
"""uv chooses the build of torch that fits the card and its driver."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """What models run on, in a sentence, and the name of a card that torch cannot use as it is installed; or empty."""

    text: str
    unused_card: str = ""


async def describe_hardware(settings: Settings) -> Hardware:
    """Return the devices of the workers, and how each model is kept there.

    Raise `ConfigurationError` if torch does not load.
    """
    catalog = await asyncio.to_thread(Catalog.open, settings.model, settings.folder_of_models)
    workers = Counter(await find_devices(settings))
    found = {device: await _describe_device(settings, catalog, device) for device in workers}
    texts = (
        f"{number} workers on {found[name].text}" if number > 1 else found[name].text
        for name, number in workers.items()
    )
    return Hardware(". ".join(texts), next((each.unused_card for each in found.values() if each.unused_card), ""))


async def _describe_device(settings: Settings, catalog: Catalog, device: str) -> Hardware:
    engine = msgspec.structs.replace(settings.engine, device=device)
    found = await _ask_torch(WorkerConfig(models=catalog.models, settings=engine))
    models = "; ".join(f"{name} ({gib} GiB) is {_HOW[mode]}" for name, (mode, gib) in found["models"].items())
    text = f"{found['name']}, {found['free_gib']} GiB free"
    if found["device"] != "cpu":
        return Hardware(f"{text}, {found['dtype']}; {models}")
    text = f"{text}, {found['threads']} threads: it works, but is slow; {models}"
    return Hardware(text, "" if found["has_gpu_build"] else await asyncio.to_thread(find_card))


def find_card(
    nodes: Path = Path("/proc/driver/nvidia/gpus"), amd: Path = Path("/sys/class/kfd/kfd/topology/nodes")
) -> str:
    """Return the name of a graphics card that the system sees: NVIDIA's, else AMD's; empty if there is none."""
    for folder in sorted(nodes.glob("*/information")):
        for line in folder.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("Model:"):
                return line.removeprefix("Model:").strip()
    if shutil.which("nvidia-smi") and (name := _ask_smi()):
        return name
    for properties in sorted(amd.glob("*/properties")):
        if any(line.split()[:1] == ["simd_count"] and line.split()[1:] != ["0"] for line in _lines(properties)):
            return "AMD graphics card"
    return ""


def _ask_smi() -> str:
    """Return the first card that NVIDIA's own tool names; empty if it does not answer."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_SMI_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip().splitlines()[0] if answer.stdout.strip() else ""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []


async def _ask_torch(config: WorkerConfig) -> dict[str, Any]:
    environment = worker_environment(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), environment.get("PYTHONPATH"))))
    probe = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-m", "generation.workers.short_process", "generation.engine.hardware"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    out, error = await probe.communicate(encode(config)[HEADER.size :])
    if probe.returncode:
        last_line = error.decode(errors="replace").strip().rsplit("\n", 1)[-1]
        raise ConfigurationError(problem=f"torch does not load: {last_line}.", remedy="Install Atelier again.")
    found: dict[str, Any] = json.loads(out)
    return found

"""Adds, loads and paints with weights of full size: random numbers in the true names and shapes, made on the spot.

No download is needed, and nothing here looks at a picture: what is shown is that checkpoints of the real size are
added in one line, load, paint one step and replay byte for byte, and what that takes. Each command is a process of its
own, as a person runs it. Files leave the page cache before each of them, so `read_gib` counts what came from the disk.

Keys for each command: `wall_s`, `cpu_s`, `peak_gib` (largest resident memory of the command or its worker), `read_gib`.
Takes some minutes and, for `xl`, 7 GB of disk and 14 GB of memory; for `klein` 16 and 18, for `zimage` 20 and 22. Run
it by hand: it is no part of the tests.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors.torch import save_file

from bench._full_flow import FLOW, write_folder
from bench._random_model import save_random_model
from generation.models.safetensors_header import read_tensors

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "tests" / "generation" / "models" / "samples"
HEADERS = {"sd15": "sd15-fp16", "inpainting": "sd15-inpainting", "sd21": "sd21-768-v", "xl": "sdxl-fp16"}
_GIB = 2**30
_TILE = 1 << 22
_STEP_S = 0.2


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench full_size", description=__doc__)
    parser.add_argument("kinds", nargs="*", default=["sd15"], help=f"{', '.join((*HEADERS, *FLOW))}, and sd15-folder")
    parser.add_argument("--folder", type=Path, help="where to write the files; a temporary folder by default")
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--json", action="store_true", help="the last line only")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        results = {kind: try_kind(kind, Path(folder), given.size) for kind in given.kinds}
    load = round(os.getloadavg()[0], 1)
    if not given.json:
        for kind, commands in results.items():
            for name, figures in commands.items():
                print(f"{kind:<12} {name:<8}", "  ".join(f"{key} {value}" for key, value in figures.items()))
    print(json.dumps({"bench": "full_size", "load": load, "size": given.size, **results}))
    return 0


def try_kind(kind: str, folder: Path, size: str) -> dict[str, dict[str, Any]]:
    """Write a model, add it, paint a picture and paint it again from its recipe. Return the figures of each."""
    path = _write(kind, folder)
    data, picture = folder / f"data-{kind}", folder / f"{kind}.png"
    add = ["models", "add", str(path), "--name", kind]
    paint = [
        "imagine",
        "a harbour",
        "--model",
        kind,
        "--steps",
        "1",
        "--size",
        size,
        "--seed",
        "1",
        "--out",
        str(picture),
    ]
    paint += ["--guidance", "1"] if kind in FLOW else []
    commands = {"add": add, "imagine": paint, "replay": ["replay", str(picture)]}
    figures = {name: run(command, data, evict=path) for name, command in commands.items()}
    figures["add"]["file_gib"] = round(sum(each.stat().st_size for each in _files(path)) / _GIB, 2)
    for each in _files(path):
        each.unlink()
    return figures


def _write(kind: str, folder: Path) -> Path:
    if kind in FLOW:
        return write_folder(kind, folder)
    return save_random_model("sd15", folder) if kind == "sd15-folder" else write_checkpoint(kind, folder)


def write_checkpoint(kind: str, folder: Path) -> Path:
    """Write a checkpoint in one file, in float16, with the names and shapes of a real one, and return its path."""
    shapes = json.loads(gzip.decompress((SAMPLES / f"{HEADERS[kind]}.json.gz").read_bytes()))
    tile = (torch.randn(_TILE, generator=torch.Generator().manual_seed(0)) * 0.02).half()
    tensors = {name: _fill(name, shape, tile) for name, shape in shapes.items()}
    path = folder / f"{kind}-512.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    assert len(read_tensors(path).shapes) == len(shapes)
    return path


def _fill(name: str, shape: list[int], tile: torch.Tensor) -> torch.Tensor:
    """Return plausible weights: small ones for matrices, ones and zeros for norms. A forward with them stays finite."""
    if name.endswith("position_ids"):
        return torch.arange(shape[-1])[None]
    if len(shape) < 2:
        return torch.ones(shape).half() if name.endswith("weight") or not shape else torch.zeros(shape).half()
    number = int(torch.tensor(shape).prod())
    return tile.repeat(-(-number // _TILE))[:number].view(shape).clone()


def run(command: list[str], data: Path, *, evict: Path) -> dict[str, Any]:
    """Run a command of ours in a process, without what is cached of the files. Return what it took."""
    for file in _files(evict):
        with file.open("rb") as open_file:
            os.fsync(open_file.fileno())
            os.posix_fadvise(open_file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    environment = os.environ | {"ATELIER_DATA_DIR": str(data), "ATELIER_HOME": str(data.parent)}
    began_s = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "bot.py", *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    peak = _Peak(process.pid)
    assert process.stdout is not None
    said = process.stdout.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    peak.stop()
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}:\n{said[-2000:]}")
    return {
        "wall_s": round(time.perf_counter() - began_s, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gib": round(peak.bytes / _GIB, 2),
        "read_gib": round(usage.ru_inblock * 512 / _GIB, 2),
    }


class _Peak:
    """The largest resident memory of a process or one below it, looked at several times a second."""

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_STEP_S):
            try:
                family = [self._process, *self._process.children(recursive=True)]
                self.bytes = max(self.bytes, *(each.memory_info().rss for each in family))
            except psutil.Error:
                continue


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [each for each in path.rglob("*.safetensors") if each.is_file()]

"""Write the pinned versions and their hashes from what is installed: `make lock`.

    constraints.txt           every package and its version
    requirements.lock         what `pip install .` needs, with the hashes of every file of that version
    requirements-extras.lock  what the extras of the image add, likewise
    requirements-dev.lock     what the extra `dev` adds to both, likewise
    requirements-cuda.lock    torch for NVIDIA cards and what it brings, for the image

torch stands in `constraints.txt` and in the last one only: its builds for processors, CUDA and ROCm have the same
version and different hashes, and the operator chooses between them. Hashes are read from the package index by uv.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
NOT_HASHED = re.compile(r"torch|triton|nvidia-.*|cuda-.*")
"""torch, and what only some of its builds bring."""
HEADER = "# Renewed by `make lock`.\n"
NAME = "atelier-bot"
EXTRAS = ("api", "c2pa", "fleet", "openvino", "postgres", "tracing")
"""What the image has beside the program."""
TOOLS = {"pip", "uv"}
OURS = {NAME, "discord-sandbox"}
"""The distributions of this repository: installed from their folders, never from an index."""
BUILD = "setuptools"
"""The build backend of `pyproject.toml`: installed with the rest, so that no build downloads it without a hash."""


def main() -> None:
    pins = _pins()
    run = _closure(NAME, ("sandbox",)) | {BUILD}
    extras = _closure(NAME, EXTRAS) - run
    dev = _closure(NAME, ("dev",)) - run - extras
    header = "# Every package `make setup` installs, at the version the tests passed with. Renewed by `make lock`.\n"
    _write("constraints.txt", header + "".join(f"{pin}\n" for pin in pins.values()))
    _write("requirements.lock", _hashed(pins[name] for name in sorted(run & pins.keys())))
    _write("requirements-extras.lock", _hashed(pins[name] for name in sorted(extras & pins.keys())))
    _write("requirements-cuda.lock", _resolve_cuda(pins["torch"]))
    _write("requirements-dev.lock", _hashed(pins[name] for name in sorted(dev & pins.keys())))


def _pins() -> dict[str, str]:
    """Return `name==version` of each installed package by its canonical name, without local versions (`+cpu`)."""
    found = {canonicalize_name(each.name): f"{each.name}=={each.version.partition('+')[0]}" for each in distributions()}
    return {name: pin for name, pin in sorted(found.items()) if name not in TOOLS | OURS}


def _closure(name: str, extras: Iterable[str]) -> set[str]:
    """Return the canonical names of all that a package with these extras needs here, our own left out."""
    seen: set[tuple[str, str]] = set()
    todo = [(canonicalize_name(name), extra) for extra in ("", *extras)]
    while todo:
        name, extra = package = todo.pop()
        if package in seen:
            continue
        seen.add(package)
        for line in distribution(name).requires or ():
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(need.name), each) for each in ("", *need.extras)]
    return {name for name, _ in seen} - OURS


def _hashed(pins: Iterable[str]) -> str:
    """Return a requirements file of these packages with the hashes of all their files, for every platform."""
    wanted = "\n".join(pin for pin in pins if not NOT_HASHED.fullmatch(pin.partition("==")[0].lower()))
    return HEADER + _compile(wanted, "--no-deps")


def _resolve_cuda(torch: str) -> str:
    """Return the same for torch as the package index has it for Linux: with CUDA."""
    found = re.findall(r"^\S.*\\\n(?:    .*\n)+", _compile(torch, "--constraints", str(ROOT / "constraints.txt")), re.M)
    return HEADER + "".join(each for each in found if NOT_HASHED.fullmatch(each.partition("==")[0]))


def _compile(wanted: str, *how: str) -> str:
    """Return the requirements with the hashes of all their files, as uv reads them from the index."""
    compile_ = ("uv", "pip", "compile", "-", "--quiet", "--universal", "--generate-hashes", *how)
    shown = ("--no-annotate", "--no-header", "--no-emit-index-url", "--python-version", "3.11")
    done = subprocess.run(
        [sys.executable, "-m", *compile_, *shown], input=wanted, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"uv could not read the hashes: {done.stderr.strip()}")
    return done.stdout


def _write(name: str, text: str) -> None:
    (ROOT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

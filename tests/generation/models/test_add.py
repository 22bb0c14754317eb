"""`bot.py models`: what is added is checked and pinned; the hub is a small real server on loopback."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from cli import models as command
from generation.errors import ConfigurationError
from generation.models import hub as hub_module
from generation.models.catalog import Catalog
from generation.models.registry import Kind, ModelRegistry
from generation.models.verify import verify
from tests.generation.models.toy_hub import COMMIT, serve_hub
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers


def a_lora(path: Path, *, width: int = 768, value: float = 1.0) -> Path:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    down, up = np.full((2, width), value, np.float32), np.ones((320, 2), np.float16)
    save_file({f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}, path, metadata={"license": "MIT"})
    return path


def add(folder: Path, what: object, **options: str) -> list[str]:
    said: list[str] = []
    command.add(folder / "models", str(what), say=said.append, **options)  # type: ignore[arg-type]
    return said


def test_a_lora_is_added_listed_verified_and_offered(tmp_path: Path) -> None:
    file = a_lora(tmp_path / "Neon Lights!.safetensors")
    said = "\n".join(add(tmp_path, file))
    assert "Licence: MIT" in said and "<lora:Neon-Lights:0.8>" in said
    (entry,) = ModelRegistry.read(tmp_path / "models").entries
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (entry.name, entry.kind, entry.context_width) == ("Neon-Lights", Kind.LORA, 768)
    assert entry.files == {".": digest}
    lora = Catalog.open("paintbox", tmp_path / "models").default.loras[-1]
    assert (lora.name, lora.path, lora.sha256) == ("Neon-Lights", file, digest)
    assert any(
        "Neon-Lights  (for Stable Diffusion 1; licence: MIT" in line
        for line in command.list_models(tmp_path / "models")
    )
    assert [found.problem for found in verify(tmp_path / "models")] == [""]
    a_lora(file, value=2.0)
    assert [found.problem for found in verify(tmp_path / "models")] == ["it has changed"]
    file.unlink()
    assert [found.problem for found in verify(tmp_path / "models")] == [f"{file} is gone."]


def test_a_removed_model_is_not_offered_and_its_file_stays(tmp_path: Path) -> None:
    file, said = a_lora(tmp_path / "glow.safetensors"), list[str]()
    add(tmp_path, file)
    command.remove(tmp_path / "models", "glow", say=said.append)
    assert ModelRegistry.read(tmp_path / "models").entries == ()
    assert file.exists() and str(file) in said[-1]
    with pytest.raises(ConfigurationError, match="Nothing called glow was added"):
        command.remove(tmp_path / "models", "glow", say=said.append)


def header(path: Path, text: str, *, length: int | None = None, data: bytes = b"\0" * 16) -> None:
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text.encode() + data)


def overlapping(path: Path) -> None:
    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header(path, json.dumps({"a": tensor, "b": tensor | {"data_offsets": [4, 12]}}))


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "pickle": (lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n."), "is no safetensors file"),
    "2 GB header": (lambda path: header(path, "{}", length=2**31), "is no safetensors file"),
    "overlap": (overlapping, "is no safetensors file"),
    "not a number": (lambda path: a_lora(path, value=float("nan")), "not finite"),
    "endless": (lambda path: a_lora(path, value=float("inf")), "not finite"),
    "DoRA": (
        lambda path: save_file({"x.lora_A.weight": np.ones(2), "x.dora_scale": np.ones(2)}, path),
        "which have no such layer",
    ),
    "anything": (lambda path: save_file({"x.y.z": np.ones((2, 2, 2))}, path), "is no checkpoint, LoRA"),
    "link": (lambda path: path.symlink_to(a_lora(path.with_name("real.safetensors"))), "is a link"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_damaged_model_is_refused_and_not_registered(tmp_path: Path, name: str) -> None:
    spoil, says = SPOILT[name]
    spoil(tmp_path / "x.safetensors")
    with pytest.raises(ConfigurationError, match=says):
        add(tmp_path, tmp_path / "x.safetensors")
    assert ModelRegistry.read(tmp_path / "models").entries == ()


@pytest.mark.parametrize("suffix", [".bin", ".ckpt", ".pt", ".pth", ".pkl", ".zip"])
def test_formats_that_run_code_are_never_opened(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"x{suffix}").mkdir() if suffix == ".zip" else (tmp_path / f"x{suffix}").write_bytes(b"\x80")
    with pytest.raises(ConfigurationError, match=r"can run code|neither"):
        add(tmp_path, tmp_path / f"x{suffix}")


@pytest.mark.parametrize("what", ["../../etc/nothing", "/no/such/file", "a\x00b", "x\\..\\y", "．．/y z", "x" * 5000])
def test_paths_that_lead_nowhere_are_a_sentence(tmp_path: Path, what: str) -> None:
    with pytest.raises(ConfigurationError, match="There is nothing at"):
        add(tmp_path, what)


@pytest.mark.parametrize("name", ["../x", "/x", "a\\b", "a\x00", "paintbox", "..", "．．"])
def test_names_that_could_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be a name|is the built-in model"):
        add(tmp_path, a_lora(tmp_path / "x.safetensors"), name=name)


def test_a_model_folder_is_pinned_and_a_foreign_shard_list_refused(tmp_path: Path, toy: Path) -> None:
    (toy / "README.md").write_text("---\nlicense: other\nlicense_name: toys\n---\nA toy.")
    said = "\n".join(add(tmp_path, toy, name="toy"))
    assert "Licence: toys" in said
    catalog = Catalog.open("toy", tmp_path / "models")
    assert [model.name for model in catalog.models] == ["toy", "paintbox"] and catalog.default.sha256
    index = toy / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"conv_in.weight": "../../x.safetensors"}}))
    assert "names '../../x.safetensors'" in next(verify(tmp_path / "models")).problem
    with pytest.raises(ConfigurationError, match="names"):
        add(tmp_path, toy, name="again")


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """Write the settings of a toy model, with tiny weights that are not loaded."""
    from tests.generation.engine.toy import save_toy

    return save_toy(tmp_path / "toy")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "hub"
    folder.mkdir()
    a_lora(folder / "glow.safetensors")
    (folder / "README.md").write_text("---\nlicense: mit\n---\nNeon.")
    (folder / "evil.bin").write_bytes(b"\x80\x04cos\nsystem\n.")
    with serve_hub({"someone/glow": folder}) as server:
        yield server.address
    assert not [path for path in server.asked if "evil" in path or "escape" in path]


def on_a_terminal(*arguments: Any, **options: Any) -> tuple[subprocess.CompletedProcess[str], str]:
    """Return the result of `models`, and what a user at the terminal saw meanwhile."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    try:
        done = models(*arguments, **options, stderr=theirs)
        os.set_blocking(ours, False)
        return done, os.read(ours, 2**16).decode()
    finally:
        os.close(theirs)
        os.close(ours)


def models(
    folder: Path, endpoint: str, *arguments: str, stderr: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_XET": "1"}
    environment |= {"ATELIER_DATA_DIR": str(folder / "data"), "no_proxy": "127.0.0.1"}
    call = [sys.executable, "bot.py", "models", *arguments]
    return subprocess.run(
        call,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def test_from_the_hub_a_commit_is_fetched_checked_and_pinned(tmp_path: Path, hub: str) -> None:
    done, seen = on_a_terminal(tmp_path, hub, "add", "someone/glow", "--revision", "v1")
    assert done.returncode == 0, seen
    assert f"From someone/glow at commit {COMMIT}." in done.stdout and "Licence: mit" in done.stdout
    assert "Fetching glow.safetensors" in seen and "HTTP Request" not in seen, "a bar shows how far it is"
    (entry,) = ModelRegistry.read(tmp_path / "data" / "models").entries
    assert (entry.path, entry.revision, entry.source) == ("glow/glow.safetensors", COMMIT, "someone/glow")
    assert models(tmp_path, hub, "verify").stdout == "ok   glow\n"
    again = models(tmp_path, hub, "add", "someone/glow")
    assert again.returncode == 2 and "There is already a LoRA called glow (someone/glow)" in again.stderr
    named = models(tmp_path, hub, "add", "someone/glow", "--replace")
    assert named.returncode == 0, named.stderr
    (entry,) = ModelRegistry.read(tmp_path / "data" / "models").entries
    assert entry.path == f"glow-{COMMIT[:12]}/glow.safetensors", "the folder that was there stays"
    missing = models(tmp_path, hub, "add", "someone/gone")
    assert missing.returncode == 2 and "There is no someone/gone on the hub." in missing.stderr


def test_a_download_that_was_given_up_is_cleared_away_by_a_later_one(tmp_path: Path) -> None:
    for name, days_ago in ((".old.fetching", 8), (".resumed.fetching", 1), (".mine.fetching", 8), ("kept", 8)):
        part = tmp_path / name / ".cache" / "weights.incomplete"
        part.parent.mkdir(parents=True)
        part.write_bytes(b"half")
        at = time.time() - days_ago * 24 * 3600
        for path in (part, part.parent, tmp_path / name):
            os.utime(path, (at, at))
    hub_module._clear_abandoned(tmp_path, but=tmp_path / ".mine.fetching")
    assert {path.name for path in tmp_path.iterdir()} == {".resumed.fetching", ".mine.fetching", "kept"}

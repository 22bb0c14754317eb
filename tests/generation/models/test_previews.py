"""Previews of models and LoRA: found beside a file or in its header, decoded elsewhere, kept small, or left out."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from cli import models as command
from cli import previews
from generation.engine.preview_look import look
from generation.models.catalog import Catalog
from generation.models.hashing import hash_files
from generation.models.layout import ModelRefusedError
from generation.models.previews import FOLDER, MAX_BYTES, read_preview
from generation.models.registry import ModelRegistry, Preview, PreviewScore
from generation.models.shared_additions import AddedChecker
from generation.safety.checker_trust import SHARED
from generation.workers.frames import PreviewQuestion
from generation.workers.trial_load import score_preview
from tests.generation.engine.toy import save_checker

CALM = {"open_nsfw": PreviewScore(value=0.1)}
LAYER = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"


@pytest.fixture(autouse=True)
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The networks look in a process of their own, once below; here it is known what they are shown."""
    shown: list[bytes] = []

    def score(png: bytes, checkers: Any) -> dict[str, PreviewScore]:
        shown.append(png)
        return CALM

    monkeypatch.setattr(previews, "score_preview", score)
    monkeypatch.setattr(command, "require_fitting", lambda lora, folders: None)
    return shown


def picture(colour: str = "red", size_px: tuple[int, int] = (300, 200), kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size_px, colour).save(buffer, kind, **options)
    return buffer.getvalue()


def moving() -> bytes:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue", "green")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def a_lora(path: Path, thumbnail: str = "") -> Path:
    tensors = {f"{LAYER}.lora_A.weight": torch.ones(2, 768), f"{LAYER}.lora_B.weight": torch.ones(640, 2)}
    save_file(tensors, path, metadata={"modelspec.thumbnail": thumbnail} if thumbnail else None)
    return path


def add(folder: Path, file: Path, **options: Any) -> Preview | None:
    return command.add(folder, str(file), say=lambda line: None, **options).preview


def colour_of(folder: Path, preview: Preview) -> tuple[int, ...]:
    data = read_preview(folder / FOLDER / f"{preview.sha256}.png", preview.sha256)
    assert data is not None
    with Image.open(io.BytesIO(data)) as kept:
        assert (kept.format, kept.size, kept.mode) == ("PNG", (160, 160), "RGB")
        pixel = kept.getpixel((80, 80))
    assert isinstance(pixel, tuple)
    return pixel


def test_the_picture_in_a_header_is_kept_small_and_looked_at(tmp_path: Path, looked_at: list[bytes]) -> None:
    folder = tmp_path / "models"
    file = a_lora(tmp_path / "ink.safetensors", uri(picture("red", kind="JPEG"), "jpeg"))
    preview = add(folder, file)
    assert preview is not None and preview.scores == CALM
    assert colour_of(folder, preview)[0] > 250
    place, known = Catalog.open("paintbox", folder).previews["ink"]
    assert known == preview and looked_at == [place.read_bytes()], "what was judged is what is shown"


@pytest.mark.parametrize("name", ["ink.preview.png", "ink.png", "ink.jpg", "ink.preview.webp"])
def test_a_picture_beside_the_file_comes_before_the_one_in_it(tmp_path: Path, name: str) -> None:
    file = a_lora(tmp_path / "ink.safetensors", uri(picture("red")))
    kind = {"jpg": "JPEG"}.get(name.rsplit(".")[-1], name.rsplit(".")[-1].upper())
    (tmp_path / name).write_bytes(picture("blue", kind=kind))
    preview = add(tmp_path / "models", file)
    assert preview is not None
    assert colour_of(tmp_path / "models", preview)[2] > 250


BAD = {
    "absent": "",
    "not a picture": uri(b"no picture"),
    "cut off": uri(picture()[:60]),
    "not base64": "data:image/png;base64,???",
    "another kind": uri(picture(), "svg+xml"),
    "a link": "https://example.org/x.png",
    "huge": uri(b"\x89PNG" + bytes(MAX_BYTES + 1)),
    "a bomb": uri(picture(size_px=(9000, 16))),
    "tiny": uri(picture(size_px=(3, 3))),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_preview_is_no_reason_against_a_lora(tmp_path: Path, looked_at: list[bytes], name: str) -> None:
    assert add(tmp_path / "models", a_lora(tmp_path / "ink.safetensors", BAD[name])) is None
    assert not (tmp_path / "models" / FOLDER).exists() and looked_at == []


def test_one_that_moves_stands_still(tmp_path: Path) -> None:
    preview = add(tmp_path / "models", a_lora(tmp_path / "ink.safetensors", uri(moving())))
    assert preview is not None
    assert colour_of(tmp_path / "models", preview) == (255, 0, 0)


def test_a_link_beside_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.png").write_bytes(picture())
    (tmp_path / "ink.png").symlink_to(tmp_path / "elsewhere.png")
    assert add(tmp_path / "models", a_lora(tmp_path / "ink.safetensors")) is None


def test_one_that_cannot_be_judged_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "score_preview", lambda png, checkers: None)
    assert add(tmp_path / "models", a_lora(tmp_path / "ink.safetensors", uri(picture()))) is None


def test_a_preview_leaves_with_what_it_shows(tmp_path: Path) -> None:
    folder, file = tmp_path / "models", a_lora(tmp_path / "ink.safetensors", uri(picture("red")))
    add(folder, file)
    add(folder, file, name="same")
    assert len(list((folder / FOLDER).iterdir())) == 1
    command.remove(folder, "ink", say=lambda line: None)
    assert len(list((folder / FOLDER).iterdir())) == 1, "another has the same"
    add(folder, a_lora(file, uri(picture("blue"))), name="same", replaces=True)
    (kept,) = (folder / FOLDER).iterdir()
    (entry,) = ModelRegistry.read(folder).entries
    assert entry.preview is not None and kept.stem == entry.preview.sha256
    kept.write_bytes(picture("red"))
    assert read_preview(kept, entry.preview.sha256) is None, "it is not the picture that was looked at"


def test_scan_takes_previews_too(tmp_path: Path) -> None:
    (tmp_path / "Lora").mkdir()
    a_lora(tmp_path / "Lora" / "ink.safetensors")
    (tmp_path / "Lora" / "ink.preview.png").write_bytes(picture())
    command.scan(tmp_path / "models", str(tmp_path), say=lambda line: None)
    (entry,) = ModelRegistry.read(tmp_path / "models").entries
    assert entry.preview is not None


def test_the_checkers_of_all_models_look_at_it_in_a_process_of_their_own() -> None:
    scores = score_preview(picture(size_px=(160, 160)), ())
    assert scores is not None and scores.keys() == SHARED
    assert all(0 <= scores[name].value < 0.5 for name in ("open_nsfw", "hentai", "porn"))


def test_a_checker_that_was_added_looks_at_it_too(tmp_path: Path) -> None:
    strict = save_checker(tmp_path / "strict", threshold=-1.0)
    checker = AddedChecker(name="strict", path=strict, sha256=hash_files(strict))
    scores = look(PreviewQuestion(png=picture(), checkers=(checker,)))
    assert scores.keys() == SHARED | {"strict concept", "strict care"}
    assert scores["strict concept"].value > 0 and scores["strict care"].is_age
    with pytest.raises(ModelRefusedError):
        look(PreviewQuestion(png=picture(), checkers=(replace(checker, sha256="0" * 64),)))

"""`models add LINK` from Civitai: a local server speaks its published JSON, and a second one is its store of files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from cli import models
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.models.civitai import choose_file
from generation.models.links import CivitaiLink, HubLink, parse_link
from generation.models.registry import Kind, ModelRegistry

PAGE = "https://civitai.com/models/77/neon-glow?modelVersionId=501"


@dataclass
class Site:
    """What the two servers hand out, and what they were asked."""

    data: bytes
    api: str = ""
    store: str = ""
    wants_token: bool = False
    shows_login: bool = False
    cut_at: int = 0
    """The store breaks off its first answer after so many bytes."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the model's JSON."""
    version_changes: dict[str, Any] = field(default_factory=dict)
    ranges: list[str | None] = field(default_factory=list)
    tokens: list[tuple[str, str | None]] = field(default_factory=list)
    """Which server got which Authorization header."""

    def model(self) -> dict[str, Any]:
        return {
            "id": 77,
            "name": "Neon glow",
            "type": "LORA",
            "allowNoCredit": False,
            "allowCommercialUse": ["Image", "Rent"],
            "allowDerivatives": True,
            "modelVersions": [self.version(502), self.version(501) | self.version_changes],
            **self.changes,
        }

    def version(self, number: int) -> dict[str, Any]:
        weights = {
            "id": number * 10,
            "name": "neonGlow_v1.safetensors",
            "type": "Model",
            "sizeKB": len(self.data) / 1024,
            "metadata": {"fp": "fp16", "format": "SafeTensor"},
            "hashes": {"SHA256": hashlib.sha256(self.data).hexdigest().upper()},
            "primary": True,
        }
        others = [
            {"id": 1, "name": "neonGlow_v1.ckpt", "type": "Model"},
            {"id": 2, "name": "../escape.safetensors", "type": "Model"},
            {"id": 3, "name": "neon.zip", "type": "Training Data"},
        ]
        words = ["neon glow", "pink\x1b[31m lights"]
        return {"id": number, "baseModel": "SD 1.5", "trainedWords": words, "files": [*others, weights]}


class Handler(BaseHTTPRequestHandler):
    """Both servers: the API answers under /api, the store under /signed."""

    site: Site

    def do_GET(self) -> None:
        site, token = self.site, self.headers.get("Authorization")
        path = self.path.split("?")[0]
        site.tokens.append((path.split("/")[1], token))
        assert self.headers["User-Agent"] and "Python" not in self.headers["User-Agent"]
        if path == "/api/v1/models/77":
            self.answer(200, json.dumps(site.model()).encode(), "application/json")
        elif path == "/api/v1/model-versions/501":
            self.answer(200, json.dumps({"id": 501, "modelId": 77}).encode(), "application/json")
        elif path == "/api/download/models/501":
            self.download(token)
        elif path == "/signed/file" and token is None:
            self.hand_out()
        else:
            self.answer(400 if path == "/signed/file" else 404, b"{}", "application/json")

    def download(self, token: str | None) -> None:
        assert "fileId=5010" in self.path
        if self.site.shows_login:
            self.answer(200, b"<html>Log in", "text/html; charset=utf-8")
        elif self.site.wants_token and token != "Bearer right":
            self.answer(401, b"{}", "application/json")
        else:
            self.send_response(307)
            self.send_header("Location", f"{self.site.store}/signed/file?X-Amz-Signature=abc")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def hand_out(self) -> None:
        site, wanted = self.site, self.headers.get("Range")
        site.ranges.append(wanted)
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if begin >= len(site.data):
            self.answer(416, b"", "application/octet-stream")
            return
        rest = site.data[begin:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if site.cut_at:
            rest, site.cut_at = rest[: site.cut_at], 0
            self.wfile.write(rest)
            self.close_connection = True
        else:
            self.wfile.write(rest)

    def answer(self, status: int, data: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def a_lora(path: Path) -> bytes:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    down, up = np.ones((2, 768), np.float32), np.ones((320, 2), np.float32)
    save_file({f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}, path)
    return path.read_bytes()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    found = Site(a_lora(tmp_path / "source.safetensors"))
    handler = type("Bound", (Handler,), {"site": found})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    found.api, found.store = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    monkeypatch.setenv("CIVITAI_ENDPOINT", found.api)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield found
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def add(folder: Path, link: str = PAGE, **options: Any) -> str:
    said: list[str] = []
    models.add(folder / "models", link, say=said.append, **options)
    return "\n".join(said)


def refusal(folder: Path, link: str = PAGE, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        add(folder, link, **options)
    assert ModelRegistry.read(folder / "models").entries == ()
    return str(refused.value)


def test_a_page_is_fetched_checked_and_kept_with_its_facts(site: Site, tmp_path: Path) -> None:
    said = add(tmp_path)
    (entry,) = ModelRegistry.read(tmp_path / "models").entries
    assert (entry.name, entry.kind, entry.page) == (
        "neonGlow_v1",
        Kind.LORA,
        "https://civitai.com/models/77?modelVersionId=501",
    )
    assert (entry.base_model, entry.trigger_words) == ("SD 1.5", ("neon glow", "pink[31m lights"))
    assert entry.licence == "Civitai: credit the author, pictures may be sold, may be merged"
    assert "Its author says to write: neon glow" in said and entry.page in said
    assert Catalog.open("paintbox", tmp_path / "models").default.loras[-1].path.read_bytes() == site.data


def test_the_token_goes_to_the_site_and_not_to_its_store(site: Site, tmp_path: Path) -> None:
    site.wants_token = True
    assert "set ATELIER_CIVITAI_TOKEN" in refusal(tmp_path)
    assert "Check ATELIER_CIVITAI_TOKEN" in refusal(tmp_path, civitai_token="wrong")
    site.tokens.clear()
    add(tmp_path, civitai_token="right")
    assert ("signed", None) in site.tokens
    assert all(token == "Bearer right" for server, token in site.tokens if server == "api")


def test_a_page_to_log_in_is_no_model(site: Site, tmp_path: Path) -> None:
    site.shows_login = True
    assert "set ATELIER_CIVITAI_TOKEN" in refusal(tmp_path)


def test_a_download_that_breaks_off_goes_on_where_it_was(site: Site, tmp_path: Path) -> None:
    site.cut_at = 1000
    add(tmp_path)
    assert site.ranges == [None, "bytes=1000-"]


def test_what_was_fetched_before_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    staging = tmp_path / "models" / ".neonGlow_v1-501.fetching"
    staging.mkdir(parents=True)
    (staging / "neonGlow_v1.safetensors").write_bytes(site.data)
    add(tmp_path)
    assert site.ranges == [f"bytes={len(site.data)}-"]


def test_a_damaged_file_is_refused_and_fetched_again_next_time(site: Site, tmp_path: Path) -> None:
    good = site.data
    site.version_changes = {"files": site.version(501)["files"]}
    site.data = good[:-1] + b"x"
    assert "arrived damaged" in refusal(tmp_path)
    site.data = good
    add(tmp_path)
    assert site.ranges == [None, None]


@pytest.mark.parametrize(
    ("changes", "version_changes", "says"),
    [
        ({"type": "MotionModule"}, {}, "is of the type MotionModule"),
        ({"type": "Controlnet"}, {"baseModel": "Flux.1 D"}, "is made for Flux.1 D"),
        ({"type": "Checkpoint"}, {"baseModel": "Ernie"}, "is made for Ernie"),
        ({"type": "Checkpoint"}, {"baseModel": "Wan Video"}, "is made for Wan Video"),
        ({}, {"baseModel": "Pony V7"}, "is made for Pony V7"),
        ({}, {"files": [{"id": 1, "name": "a.ckpt", "type": "Model"}]}, "has no .safetensors file"),
        ({"modelVersions": []}, {}, "has no version 501"),
    ],
)
def test_what_cannot_be_used_is_refused_before_it_is_fetched(
    site: Site, tmp_path: Path, changes: dict[str, Any], version_changes: dict[str, Any], says: str
) -> None:
    site.changes, site.version_changes = changes, version_changes
    assert says in refusal(tmp_path)
    assert site.ranges == []


def test_a_controlnet_is_fetched_for_models_that_are_run_here(site: Site) -> None:
    site.changes = {"type": "Controlnet"}
    assert choose_file(site.model(), site.version(501), half=False).name == "neonGlow_v1.safetensors"


def test_a_model_that_is_not_there_is_a_sentence(site: Site, tmp_path: Path) -> None:
    assert "no such model" in refusal(tmp_path, "https://civitai.com/models/78")
    assert "is no link to a model" in refusal(tmp_path, "https://example.org/models/78")


def test_a_site_that_does_not_answer_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVITAI_ENDPOINT", "http://127.0.0.1:9")
    assert "Civitai cannot be reached" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("https://civitai.com/models/4384", CivitaiLink(4384)),
        ("https://civitai.com/models/4384/dreamshaper", CivitaiLink(4384)),
        ("https://www.civitai.com/models/4384?modelVersionId=128713", CivitaiLink(4384, 128713)),
        ("https://civitai.red/models/4384?modelVersionId=128713", CivitaiLink(4384, 128713)),
        ("https://civitai.com/api/download/models/128713?type=Model", CivitaiLink(version_id=128713)),
        ("urn:air:sd1:checkpoint:civitai:4384@128713", CivitaiLink(4384, 128713)),
        ("https://civitai.com/user/someone", None),
        ("https://civitai.com.example.org/models/4384", None),
        ("https://huggingface.co/owner/name", HubLink("owner/name")),
        ("https://huggingface.co/owner/name/tree/v1.0", HubLink("owner/name", "v1.0")),
        ("https://hf.co/owner/name/blob/main/a/b.safetensors", HubLink("owner/name/a/b.safetensors", "main")),
        (
            "https://huggingface.co/owner/name/resolve/main/b%20c.safetensors?download=true",
            HubLink("owner/name/b c.safetensors", "main"),
        ),
        ("https://[bad", None),
    ],
)
def test_links_are_read_as_people_paste_them(text: str, link: object) -> None:
    assert parse_link(text) == link


@pytest.mark.parametrize("base", ["Flux.1 D", "Flux.1 Kontext", "Chroma", "SD 3.5 Large", "Krea 2"])
@pytest.mark.parametrize("kind", ["LORA", "Checkpoint"])
def test_lora_and_checkpoints_of_transformers_are_taken(site: Site, base: str, kind: str) -> None:
    version = {**site.model()["modelVersions"][0], "baseModel": base}
    assert choose_file({"id": 77, "type": kind}, version, half=False).base_model == base


def test_a_version_by_its_download_link_is_the_same_model(site: Site, tmp_path: Path) -> None:
    add(tmp_path, "https://civitai.com/api/download/models/501")
    assert ModelRegistry.read(tmp_path / "models").entries[0].revision == "501"

"""An error between this machine and the hub is one sentence that says what helps, and leaves nothing behind."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.hf_api import RepoSibling

from cli import models
from generation.errors import ConfigurationError
from generation.models.hub import is_hub_id
from generation.models.hub_choice import one_file


class Refusing(ThreadingHTTPServer):
    """A hub that answers every question with the same status, and the code the hub puts beside it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Refusal)
        self.status, self.code = 500, ""


class _Refusal(BaseHTTPRequestHandler):
    server: Refusing

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        if self.server.code:
            self.send_header("X-Error-Code", self.server.code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Refusing]:
    server = Refusing()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def sentence(folder: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        models.add(folder / "models", "someone/glow", say=lambda line: None)
    assert not [path for path in folder.rglob("*") if path.is_file()]
    said = str(refused.value)
    assert "\n" not in said and said.endswith(".")
    return said


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (401, "GatedRepo", "those who accept its terms"),
        (401, "", "Check HF_TOKEN"),
        (403, "", "Check HF_TOKEN"),
        (404, "RepoNotFound", "There is no someone/glow on the hub"),
        (404, "RevisionNotFound", "no such revision"),
        (407, "", "The proxy of this machine"),
        (429, "", "Wait some minutes"),
        (503, "", "HTTP status 503"),
        (200, "", "could not be fetched"),
    ],
)
def test_every_refusal_of_the_hub_says_what_helps(
    refusing: Refusing, tmp_path: Path, status: int, code: str, says: str
) -> None:
    refusing.status, refusing.code = status, code
    assert says in sentence(tmp_path)


def test_a_hub_that_cannot_be_reached_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound, and it does not listen: nothing else can answer there
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert "The hub cannot be reached for someone/glow" in sentence(tmp_path)


def test_an_offline_hub_error_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in sentence(tmp_path)


@pytest.mark.parametrize(
    ("what", "is_one"),
    [
        ("o/n", True),
        ("o/n/my lora (v1.2) [final] é.safetensors", True),
        ("o/n/sub folder/x.safetensors", True),
        ("o/n/x.bin", False),
        ("o/n/../x.safetensors", False),
        ("o/n//x.safetensors", False),
        ("o/n/.hidden/x.safetensors", False),
        ("o/n/c:\\x.safetensors", False),
        ("o/n/x\n.safetensors", False),
        ("o/n/ x.safetensors", False),
        ("my models/x.safetensors", False),
        ("/o/n/x.safetensors", False),
    ],
)
def test_names_of_hub_files(what: str, *, is_one: bool) -> None:
    assert is_hub_id(what) is is_one


def test_a_file_with_blanks_in_its_name_can_be_asked_for() -> None:
    there = {name: RepoSibling(rfilename=name) for name in ("my lora.safetensors", "b.safetensors")}
    assert one_file("o/n", there, "my lora.safetensors") == "my lora.safetensors"
    with pytest.raises(ConfigurationError, match="There are: my lora"):
        one_file("o/n", there, None)

"""A Hugging Face hub on the loopback with the parts of the protocol that downloads need."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class ToyHub(ThreadingHTTPServer):
    """Repositories by `owner/name`, each a folder; all are at one commit, which `main` and `v1` name too."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folders, self.asked = folders, list[str]()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serve_hub(folders: Mapping[str, Path]) -> Iterator[ToyHub]:
    """Run one until the end of the block."""
    server = ToyHub(folders)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: ToyHub

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append(path)
        for repo, folder in self.server.folders.items():
            if path in (f"/api/models/{repo}", f"/api/models/{repo}/revision/v1"):
                self._send(json.dumps(_describe(repo, folder)).encode(), with_body=with_body, kind="application/json")
                return
            prefix = f"/{repo}/resolve/{COMMIT}/"
            if path.startswith(prefix) and (file := folder / path.removeprefix(prefix)).is_file():
                self._send(file.read_bytes(), with_body=with_body, kind="application/octet-stream")
                return
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, data: bytes, *, with_body: bool, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def _describe(repo: str, folder: Path) -> dict[str, object]:
    siblings = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest, size = hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size
        lfs = {"sha256": digest, "size": size, "pointerSize": 1}
        name = file.relative_to(folder).as_posix()
        siblings.append({"rfilename": name, "size": size, "blobId": "0" * 40, "lfs": lfs})
    siblings.append({"rfilename": "../../escape.safetensors", "size": 1, "blobId": "0" * 40})
    return {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings}

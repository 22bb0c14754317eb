"""For tests in which nothing but loopback exists: a certificate for Discord's own names, and namespaces."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from discord_sandbox.tls_names import NAMES

_SHUT_IN = ("unshare", "--map-root-user", "--net", "--mount")


def make_certificate(folder: Path) -> Path:
    """Return the folder with `cert.pem` and `key.pem`, for Discord's own names. Skip the test without openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    names = ",".join(f"DNS:{name}" for name in sorted(NAMES))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=sandbox", "-addext", f"subjectAltName={names}"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True)
    return folder


def _can_shut_in() -> bool:
    return (
        shutil.which("unshare") is not None and not subprocess.run([*_SHUT_IN, "true"], capture_output=True).returncode
    )


async def run_shut_in(
    program: Path, *words: str, token_in: str, scenarios: str, folder: Path, env: Mapping[str, str]
) -> None:
    """Run a bot in namespaces of its own, told its token in `token_in` and nothing else (`namespace_runner.py`).

    `folder` holds the certificate, and is where it stands. Skip the test where no network namespace can be made.
    """
    if not _can_shut_in():
        pytest.skip("no network namespace can be made here (unshare --map-root-user --net --mount)")
    python, runner = (sys.executable, "-W", "ignore"), str(Path(__file__).with_name("namespace_runner.py"))
    shut_in = await asyncio.create_subprocess_exec(
        *_SHUT_IN, *python, runner, str(folder), token_in, scenarios, *python, str(program), *words,
        cwd=folder, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await shut_in.communicate()
    assert shut_in.returncode == 0, said.decode()

"""The whole program where nothing but loopback exists: told its token, and led to Discord's own names."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from discord_sandbox.tls_names import NAMES

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "packages" / "discord_sandbox" / "tests"
SHUT_IN = ("unshare", "--map-root-user", "--net", "--mount")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A folder with `cert.pem` and `key.pem`, for Discord's own names."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    names = ",".join(f"DNS:{name}" for name in sorted(NAMES))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=sandbox", "-addext", f"subjectAltName={names}"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True)
    return tmp_path


@pytest.fixture
def namespaces() -> None:
    """Skip where no network namespace can be made."""
    if shutil.which("unshare") is None or subprocess.run([*SHUT_IN, "true"], capture_output=True).returncode:
        pytest.skip("no network namespace can be made here (unshare --map-root-user --net --mount)")


async def test_it_paints_and_asks_for_nothing_outside(namespaces: None, certificate: Path, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATELIER_")}
    settings = {"ATELIER_HOME": str(tmp_path), "ATELIER_DATA_DIR": str(tmp_path)}
    settings |= {"ATELIER_HEALTH_PORT": "0", "PYTHONPATH": str(ROOT)}
    python = (sys.executable, "-W", "ignore")
    shut_in = await asyncio.create_subprocess_exec(
        *SHUT_IN, *python, str(HERE / "namespace_runner.py"), str(certificate), "ATELIER_DISCORD_TOKEN", "imagine",
        *python, str(ROOT / "bot.py"), "serve",
        cwd=tmp_path, env=kept | settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await shut_in.communicate()
    assert shut_in.returncode == 0, said.decode()

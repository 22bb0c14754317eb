"""The built distribution: what is in the wheel and the sdist, and a bot that connects in an environment of its own.

The environment holds the wheel, and aiohttp and discord.py with what they need, linked from this one: nothing is
downloaded, and neither Atelier nor torch can be imported by accident.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from discord_sandbox import __version__

HERE = Path(__file__).parent
PROJECT = HERE.parent
NEEDED = ("aiohttp", "discord.py")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
CONNECTS = """
import asyncio, sys
sys.path.insert(0, {here!r})
from discord_sandbox import Sandbox
from sample_bot import running

async def main():
    async with Sandbox() as server, running(server):
        guild = server.add_guild("Harbour")
        ada = server.act_as(guild.add_member("ada"), guild.add_channel("general"))
        reply = await ada.slash("whisper", text="from the wheel")
        print(reply.original_message.content, sorted({{"torch", "cogs", "generation", "db"}} & sys.modules.keys()))
    assert not server.violations

Sandbox.ack_deadline_s, Sandbox.patience_s = 60.0, 900.0
asyncio.run(main())
"""


def run(*command: str | Path, **options: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and with the wheel that is built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    build = "import setuptools.build_meta as backend, sys; print(backend.build_sdist(sys.argv[1]))"
    source = tmp_path_factory.mktemp("source")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=False).stdout
    if not files:
        pytest.skip("the files of the package are listed by git, and this is no checkout")
    for name in filter(None, files.decode().split("\0")):
        if (PROJECT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((PROJECT / name).read_bytes())
    run(sys.executable, "-c", build, folder, cwd=source)
    (sdist,) = folder.glob("*.tar.gz")
    run(*PIP, "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder, sdist)
    return folder


@pytest.fixture(scope="module")
def python(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with the wheel, aiohttp and discord.py."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    interpreter = next(folder.glob("bin/python")) if os.name == "posix" else folder / "Scripts" / "python.exe"
    (wheel,) = built.glob("*.whl")
    run(*PIP, "--python", interpreter, "install", "--quiet", "--no-deps", "--no-index", wheel)
    (packages,) = folder.glob("lib/python*/site-packages") if os.name == "posix" else [folder / "Lib/site-packages"]
    for name in closure(NEEDED):
        link(name, packages)
    return interpreter


def closure(names: tuple[str, ...]) -> set[str]:
    """Return these distributions and all that they need here."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = canonicalize_name(todo.pop())
        if name not in found:
            found.add(name)
            needs = [Requirement(line) for line in distribution(name).requires or ()]
            todo += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


def link(name: str, packages: Path) -> None:
    """Link the top-level files and folders of a distribution into another environment."""
    installed = distribution(name)
    for top in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
        if not (packages / top).exists():
            (packages / top).symlink_to(Path(str(installed.locate_file(top))))


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    ours = {name for name in names if name.startswith("discord_sandbox/")}
    assert {name.partition("/")[0] for name in set(names) - ours} == {f"discord_sandbox-{__version__}.dist-info"}
    source = PROJECT / "discord_sandbox"
    wanted = {f"discord_sandbox/{path.relative_to(source)}" for path in source.rglob("*") if path.is_file()}
    assert ours == {name for name in wanted if "__pycache__" not in name}
    assert {"discord_sandbox/py.typed", "discord_sandbox/page/index.html"} <= ours
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_holds_the_tests_and_the_documentation(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "docs/fidelity.md", "tests/sample_bot.py", "tests/conftest.py"} <= names


def test_it_needs_aiohttp_and_nothing_else(python: Path) -> None:
    code = "import importlib.metadata as m; print([r for r in m.requires('discord-sandbox') if 'extra' not in r])"
    assert re.findall(r"'([\w.-]+)", run(python, "-c", code)) == ["aiohttp"]
    assert "usage: discord-sandbox" in run(python.with_name("discord-sandbox"), "--help")


def test_a_bot_connects_where_nothing_else_is_installed(python: Path, tmp_path: Path) -> None:
    code = CONNECTS.format(here=str(HERE))
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "DISCORD_OPENAPI")}
    told = run(python, "-W", "ignore", "-c", code, cwd=tmp_path, env=environment)
    assert told.strip() == "from the wheel []"
    missing = "import importlib.util as u; print([n for n in ('torch', 'jsonschema', 'cogs', 'bot') if u.find_spec(n)])"
    assert run(python, "-c", missing, cwd=tmp_path, env=environment).strip() == "[]"


def test_the_licence_is_that_of_the_repository() -> None:
    above = PROJECT.parents[1] / "LICENSE"
    if above.is_file():
        assert (PROJECT / "LICENSE").read_text(encoding="utf-8") == above.read_text(encoding="utf-8")

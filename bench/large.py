"""`large`: measures what grows with the database, on a large one: processor time, memory, and how long others wait.

    python -m bench large [--json] [--images 100000] [--only erase_member books ...] [--kept FOLDER]
    python -m bench large --database postgresql

Every row is a process of its own; one that writes has a copy of its own. Keys: `images`, `build_s`, and for each piece
of work those of `bench._large.Cost`, its bounds (`bench._large_work`) and `is_within`. The status is 1 where one is
not kept. `--kept`: a SQLite file that is built there once and used again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from alembic import command
from bench._large import Cost, build, measure, name_of
from bench._large_work import WITH_FILES, WORK, WRITES, bounds_of
from db.address import parse_url
from db.migrate import alembic_config
from tests import postgres

_NUM_FILES = 20_000
_BEFORE = "0017"
"""The schema that `upgrade` begins with."""
_DATABASES = ("sqlite", "postgresql")


class FilePlace:
    """A SQLite file in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, f"sqlite:///{folder / 'atelier.db'}"

    @contextmanager
    def copied(self) -> Iterator[FilePlace]:
        copy = FilePlace(self.folder.with_name("copy"))
        shutil.copytree(self.folder, copy.folder)
        with (copy.folder / "atelier.db").open("rb+") as file:
            os.fsync(file)  # else the first commit would wait for gigabytes
        try:
            yield copy
        finally:
            shutil.rmtree(copy.folder)


class ServerPlace:
    """A database on a server, and its data folder."""

    def __init__(self, folder: Path, server: postgres.Server, url: str) -> None:
        self.folder, self.url, self._server = folder, url, server

    @contextmanager
    def copied(self) -> Iterator[ServerPlace]:
        name, copy = parse_url(self.url).database, self.folder.with_name("copy")
        self._server.say(f"CREATE DATABASE copied TEMPLATE {name} STRATEGY file_copy")
        try:
            yield ServerPlace(copy, self._server, self._server.url_of("copied"))
        finally:
            self._server.drop(self._server.url_of("copied"))
            shutil.rmtree(copy, ignore_errors=True)


Place = FilePlace | ServerPlace


def main(argv: list[str]) -> int:
    options = _parse(argv)
    if options.url is not None:
        print(json.dumps(asdict(asyncio.run(measure(options.url, options.folder, WORK[options.only[0]])))))
        return 0
    report: dict[str, Any] = {"images": options.images, "database": options.database, "load": os.getloadavg()[0]}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atelier-large-")))
        place = _place(options, folder, stack)
        if not (options.kept and place.folder.exists()):
            began = time.perf_counter()
            asyncio.run(build(place.url, place.folder, options.images))
            report["build_s"] = round(time.perf_counter() - began, 1)
        for name in options.only:
            report[name] = _report(name, _one(name, place, num_images=options.images))
            if not options.json:
                print(f"{name:18} {report[name]}", flush=True)
    print(json.dumps(report))
    return 0 if all(report[name]["is_within"] for name in options.only) else 1


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench large")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=list(WORK), default=list(WORK))
    parser.add_argument("--database", choices=_DATABASES, default=_DATABASES[0])
    parser.add_argument("--kept", type=Path, help="a folder for the SQLite file: built there once, and used again")
    parser.add_argument("--url", help="measure one in this process, on that database")
    parser.add_argument("--folder", type=Path, help="its data folder")
    options = parser.parse_args(argv)
    if options.kept and options.database != _DATABASES[0]:
        parser.error("--kept is for SQLite: the server of a run goes with it")
    return options


def _place(options: argparse.Namespace, folder: Path, stack: ExitStack) -> Place:
    if options.database == _DATABASES[0]:
        return FilePlace((options.kept or folder) / "original")
    server = stack.enter_context(postgres.serve(durable=True))
    return ServerPlace(folder / "original", server, server.create())


def _report(name: str, cost: Cost) -> dict[str, Any]:
    found, bounds = asdict(cost), bounds_of(name)
    is_within = all(found[key] <= bound for key, bound in bounds.items())
    return {key: round(value, 2) for key, value in found.items()} | {"bounds": bounds, "is_within": is_within}


def _one(name: str, original: Place, *, num_images: int) -> Cost:
    with original.copied() if name in WRITES else nullcontext(original) as place:
        if name in WITH_FILES:
            _lay_files(place.folder / "pictures", num_images)
        if name == "upgrade":
            _go_back(place.url)
        where = ("--url", place.url, "--folder", str(place.folder))
        words = [sys.executable, "-m", "bench.large", "--only", name, *where]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _go_back(url: str) -> None:
    """Give a database the schema of before."""
    engine, config = create_engine(parse_url(url)), alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, _BEFORE)
    engine.dispose()


def _lay_files(folder: Path, num_images: int) -> None:
    """Write files: half of them of the oldest pictures, half of the newest."""
    half = min(num_images, _NUM_FILES) // 2
    for number in (*range(1, half + 1), *range(num_images - half + 1, num_images + 1)):
        name = name_of(number)
        path = folder / name[:2] / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The commands of the shell: real files, the built-in model, a real database."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from db.engine import parse_url
from db.lock import lock_all
from generation.images.codec import decode_png, encode_png, read_png_text
from generation.images.metadata import PARAMETERS_KEYWORD, read_recipe
from tests.cli.shell import NOWHERE, ROOT, run, run_process
from tests.generation.engine.toy import save_toy
from tests.patience import PATIENCE_S

PROMPT = "a red circle on a blue background"
QUICK = (PROMPT, "--steps", "4", "--seed", "7", "--out")
"""The pictures are compared byte for byte: how good they are does not matter."""


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shell")
    done = run_process("imagine", *QUICK, folder / "a.png", data_dir=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.long  # a replay shows the same
def test_the_same_seed_gives_the_same_bytes(painted: Path) -> None:
    typed = f" {PROMPT}\n"  # cleaned, as any prompt is
    assert run("imagine", typed, *QUICK[1:], painted / "b.png", data_dir=painted).returncode == 0
    assert (painted / "a.png").read_bytes() == (painted / "b.png").read_bytes()


def test_the_file_carries_its_recipe(painted: Path) -> None:
    data = (painted / "a.png").read_bytes()
    recipe = read_recipe(data)
    assert recipe.spec.prompt == PROMPT
    assert recipe.spec.seed == 7
    assert recipe.trace
    assert len(recipe.model_sha256) == 64
    assert read_png_text(data)[PARAMETERS_KEYWORD].startswith(f"{PROMPT}\nSteps: ")


def test_a_replay_is_identical(painted: Path) -> None:
    done = run("replay", painted / "a.png", data_dir=painted)
    assert json.loads(done.stdout.splitlines()[-1])["verdict"] == "identical"
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["circle", pytest.param("square", marks=pytest.mark.long)])
def test_a_picture_of_an_earlier_release_is_painted_again(painted: Path, name: str) -> None:
    sample = ROOT / "tests" / "samples" / "0.1.0" / f"{name}.png"
    done = run("replay", sample, data_dir=painted)
    verdict = json.loads(done.stdout.splitlines()[-1])
    here, there = (read_recipe(path.read_bytes()).fingerprint for path in (painted / "a.png", sample))
    changed = [name for name in here.facts.keys() | there.facts.keys() if here.facts.get(name) != there.facts.get(name)]
    # Bytes are promised on the same hardware and libraries only; elsewhere it is said what differs.
    assert verdict["verdict"] == "identical" or (changed and all(name in verdict["why"] for name in changed)), verdict
    assert done.returncode == (0 if verdict["verdict"] == "identical" else 1), done.stderr


def test_a_picture_that_was_changed_is_not_called_identical(painted: Path) -> None:
    recipe = read_recipe((painted / "a.png").read_bytes())
    pixels, size = decode_png((painted / "a.png").read_bytes())
    forged = recipe.to_json().replace('"seed":7', '"seed":8')
    (painted / "forged.png").write_bytes(encode_png(pixels, size, text={"atelier": forged}))
    done = run("replay", painted / "forged.png", data_dir=painted)
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["verdict"] in ("near", "different")


def test_several_pictures_get_numbered_files(painted: Path) -> None:
    done = run(
        "imagine", PROMPT, "--count", "2", "--steps", "4", "--seed", "1", "--out", painted / "s.png", data_dir=painted
    )
    assert done.stdout.split() == [str(painted / "s-1.png"), str(painted / "s-2.png")]
    assert [read_recipe(Path(name).read_bytes()).spec.seed for name in done.stdout.split()] == [1, 2]


@pytest.mark.parametrize(
    ("status", "words", "says"),
    [
        (1, ("imagine", " ", "--out", "x.png"), "The prompt is empty"),
        (1, ("imagine", "a star", "--size", "7x7", "--out", "x.png"), "The width and height must each be from 64"),
        (1, ("imagine", "a star", "--size", "big", "--out", "x.png"), "Write the size as WIDTHxHEIGHT"),
        (1, ("imagine", "a star", "--steps", "0", "--out", "x.png"), "Steps must be a whole number from 1 to 150"),
        (1, ("imagine", "a star", "--sampler", "Eulr", "--out", "x.png"), "Choose one of: Euler a"),
        (2, ("imagine", "a star", "--model", "/nowhere", "--out", "x.png"), "The model /nowhere has no model_index"),
        (2, ("imagine", "a star", "--out", "gone/x.png"), "--out gone/x.png lies in a folder that is not there."),
        (2, ("imagine", "a star", "--count", "2", "--out", "."), "--out . is a folder."),
        (2, ("imagine", "a star", "--out", "a" * 300), "has too long a name."),
        (1, ("replay", "missing.png"), "cannot be read: it is not there."),
        (2, ("replay", "a" * 300), "has too long a name."),
        (1, ("verify", "."), "cannot be read: it is a folder."),
        (1, ("verify", "/dev/zero"), "cannot be read: it is a pipe or a device."),
        (2, ("backup", "/dev/null/x"), "could not be written"),
        (2, ("export", "5", "/dev/null"), "/dev/null exists already."),
        (2, ("--home", "gone", "models", "list"), "gone is not there."),
        (2, ("serve",), "There is no Discord token"),
    ],
)
def test_an_impossible_command_ends_with_one_sentence(
    status: int, words: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    if words[0] == "backup":
        assert run("weight", "5", data_dir=tmp_path).returncode == 0
    done = run(*words, data_dir=tmp_path)
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "x.png").exists()


@pytest.mark.skipif(os.name == "nt", reason="its names are text")
@pytest.mark.parametrize(("encoding", "name"), [("ascii", "🎨“ü”"), ("cp1252", "🎨ü"), ("utf-8", "\udcff")])
def test_an_unprintable_character_ends_no_command(encoding: str, name: str, tmp_path: Path) -> None:
    done = run("export", "5", tmp_path / name, data_dir=tmp_path, encoding=encoding)
    assert done.returncode == 0, done.stderr
    assert "my-data.json is written." in done.stdout and (tmp_path / name / "my-data.json").exists()


def test_settings_are_found_beside_the_program_not_in_the_current_folder(tmp_path: Path) -> None:
    program, elsewhere = tmp_path / "program", tmp_path / "elsewhere"
    elsewhere.mkdir()
    program.mkdir()
    for each in ROOT.iterdir():
        if each.name in ("alembic", "cogs", "db", "generation") or each.suffix in (".py", ".ini", ".toml"):
            (program / each.name).symlink_to(each)
    (program / "bot.py").unlink()
    shutil.copy(ROOT / "bot.py", program)
    shutil.copytree(ROOT / "cli", program / "cli")
    (program / ".env").write_text("ATELIER_DATA_DIR=wanted\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ATELIER_")}
    for folder, home in ((program, ()), (elsewhere, ()), (elsewhere, ("--home", "../program"))):
        call = [sys.executable, str(program / "bot.py"), *home, "weight", "42"]
        done = subprocess.run(call, cwd=folder, env=clean, capture_output=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stderr
        assert (program / "wanted" / "atelier.db").exists() and list(elsewhere.iterdir()) == []
        shutil.rmtree(program / "wanted")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ATELIER_")}
    call = [sys.executable, str(ROOT / "bot.py"), "--home", str(tmp_path), "models", "list"]
    done = subprocess.run(
        call,
        cwd=tmp_path,
        env=clean,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_it_says_which_version_it_is(tmp_path: Path) -> None:
    done = run("--version", data_dir=tmp_path)
    assert re.fullmatch(r"Atelier \d+\.\d+\.\d+, database [0-9a-f]+\S*, Python 3\.\d+\.\d+\n", done.stdout), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_calls_a_bot_that_runs_no_fault(tmp_path: Path) -> None:
    assert run("weight", "42", data_dir=tmp_path).returncode == 0
    with lock_all(tmp_path, parse_url(f"sqlite:///{tmp_path / 'atelier.db'}")):
        assert "ok   Database: in use by a bot that runs" in run("doctor", data_dir=tmp_path).stdout


def test_the_doctor_says_what_to_do(tmp_path: Path) -> None:
    done = run("doctor", data_dir=tmp_path)
    assert done.returncode == 1
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert "There is no Discord token" in lines["BAD  Discord"] and "bot.py setup" in lines["BAD  Discord"]
    assert lines["ok   Database"] == "there is none yet; the first start creates it"
    assert list(tmp_path.iterdir()) == []
    assert lines["ok   Models"] == "paintbox (sd, 128 px) for any channel"
    assert "ok   Graphics card" in lines


def test_a_damaged_database_ends_the_command_and_doctor_says_so(tmp_path: Path) -> None:
    assert run("weight", "42", "1.5", data_dir=tmp_path).returncode == 0
    with closing(sqlite3.connect(tmp_path / "atelier.db")) as connection:
        query = "SELECT name, rootpage FROM sqlite_master WHERE type = 'table'"
        pages = dict(connection.execute(query).fetchall())
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (tmp_path / "atelier.db").open("r+b") as file:
        for table in ("jobs", "images"):
            file.seek((pages[table] - 1) * size)
            file.write(b"\xff" * size)
    ended = run("imagine", PROMPT, "--out", tmp_path / "a.png", data_dir=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("atelier: "), "a sentence, and it does not wait for ever"
    looked = run("doctor", data_dir=tmp_path)
    assert "BAD  Database: The database " in looked.stdout and " is damaged (" in looked.stdout


def test_doctor_names_unusable_stored_values(tmp_path: Path) -> None:
    assert run("weight", "42", "1.5", data_dir=tmp_path).returncode == 0
    with closing(sqlite3.connect(tmp_path / "atelier.db")) as connection:
        connection.execute("UPDATE guild_settings SET timezone = 'europe/nowhere'")
        connection.commit()
    looked = run("doctor", data_dir=tmp_path)
    assert "warn Stored values: 1 cannot be used and are set aside: " in looked.stdout
    assert "guild_settings 42 (timezone: " in looked.stdout and "ok   Database" in looked.stdout
    assert run("weight", "43", data_dir=tmp_path).returncode == 0


def test_a_model_that_cannot_be_loaded_ends_the_command_at_once(tmp_path: Path) -> None:
    """It waited for ever: the worker said why it could not start, and was restarted."""
    model = save_toy(tmp_path / "toy")
    weights = model / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: each for name, each in load_file(weights).items() if "mid_block.resnets.0" not in name}, weights)
    done = run("imagine", PROMPT, "--model", model, "--out", tmp_path / "a.png", data_dir=tmp_path)
    assert done.returncode == 2
    assert "mid_block.resnets.0" in done.stderr and "Traceback" not in done.stderr
    served = run("serve", data_dir=tmp_path, ATELIER_MODEL=str(model), **NOWHERE)
    assert served.returncode == 2 and "cannot be used: The model" in served.stderr and "Traceback" not in served.stderr

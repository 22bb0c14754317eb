"""Decodes untrusted files in a process of their own, with no secrets, little memory and a few seconds.

Image libraries have had holes, and a picture, or the text in it, can be made to cost minutes and gigabytes. Here none
of it reaches the bot: `fit_picture`, `read_settings` and `read_signed` start `python -m
generation.images.untrusted_decoder`, give it the file on stdin, and take its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import msgspec

from generation.errors import InvalidRequestError, unpack_error
from generation.fair_turns import FairTurns
from generation.images.codec import SizeMismatchError, decode_png, fit_upload
from generation.images.colours import Reading
from generation.images.errors import PictureDamagedError, PictureTooCostlyError
from generation.images.interchange import ForeignSettings, read_foreign
from generation.images.interchange.texts import read_texts
from generation.images.metadata import RECIPE_KEYWORD, read_recipe, sign_png
from generation.owner import DM_TENANT, Owner
from generation.requests.recipe import Recipe

log = logging.getLogger(__name__)

AT_ONCE, AT_ONCE_OF_GUILD = 3, 2
"""Files decoded at once, and of these of one guild; of one member it is one."""
PATIENCE_S = 60.0
"""For a process that hangs. A working one is limited by its processor time, because the machine may be busy."""
CPU_S = 10
MEMORY_BYTES = 1 << 30
"""Of address space; the largest picture allowed takes about a third of it."""
_REFUSED, _OTHER_SIZE, _UNFORESEEN = 3, 4, 5
_CRASHES = frozenset(-number for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE))
_MAX_LOGGED = 300
_ROOT = Path(__file__).resolve().parents[2]
_COMMAND = (sys.executable, "-m", __spec__.name)
Size = tuple[int, int]
_Settings = tuple[Recipe | None, ForeignSettings | None]
NO_MEMBER = Owner(DM_TENANT, 0)
"""For files of the shell: no member of a server gave them."""


async def fit_picture(
    data: bytes,
    size_px: tuple[int, int],
    *,
    said_px: tuple[int, int] | None = None,
    reading: Reading = Reading.PICTURE,
    owner: Owner = NO_MEMBER,
) -> bytes:
    """Return a user's picture cropped and scaled to `size_px`, as a plain PNG. Files are decoded in turns by `owner`.

    Raise `InvalidRequestError`, and `SizeMismatchError` for one that is not, upright, of the size `said_px`.
    """
    return await _decode(data, owner, reading, *map(str, (*size_px, *(said_px or ()))))


async def fit_upright(
    data: bytes,
    said_px: Size | None,
    fit: Callable[[Size | None], Size],
    owner: Owner,
    *,
    reading: Reading = Reading.PICTURE,
) -> tuple[bytes, Size | None]:
    """Return a picture as a PNG of the size that `fit` makes of its own, and that size. Raise `InvalidRequestError`.

    Discord says how large it is, `said_px`; but a photograph may lie on its side, and what counts is what people see.
    """
    try:
        return await fit_picture(data, fit(said_px), said_px=said_px, reading=reading, owner=owner), said_px
    except SizeMismatchError as upright:
        return await fit_picture(data, fit(upright.size_px), reading=reading, owner=owner), upright.size_px


def fit_picture_now(data: bytes, size_px: tuple[int, int]) -> bytes:
    """Return a picture as `fit_picture` does, for the shell: it blocks, and takes no turn. Raise
    `InvalidRequestError`."""
    try:
        done = subprocess.run(
            [*_COMMAND, Reading.PICTURE, *map(str, size_px)],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            cwd=_ROOT,
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PictureTooCostlyError from None
    return _read_answer(done.returncode, done.stdout)


async def read_signed(data: bytes, *, owner: Owner = NO_MEMBER) -> tuple[Recipe, bytes]:
    """Return the recipe in a user's PNG, and the picture as a file written here, with nothing else in it.

    Raise `InvalidRequestError` when there is no recipe, or it is not ours.
    """
    recipe, _, clean = (await _decode(data, owner, "signed")).partition(b"\n")
    return Recipe.from_json(recipe), clean


async def read_settings(data: bytes, *, owner: Owner = NO_MEMBER) -> Recipe | ForeignSettings | None:
    """Return how a user's picture was made: a recipe of ours before all else, or another tool's settings.

    Raise `InvalidRequestError` if it cannot be read. The text itself stays in the child process: only small values come
    back.
    """
    said: _Settings = msgspec.json.decode(await _decode(data, owner, "settings"), type=_Settings)
    return said[0] or said[1]


async def _decode(data: bytes, owner: Owner, *words: str) -> bytes:
    async with _turns(asyncio.get_running_loop()).turn(owner):
        process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_environment(),
            cwd=_ROOT,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer, _ = await process.communicate(data)
        except TimeoutError:
            answer = b""
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return _read_answer(process.returncode, answer)


def _read_answer(status: int | None, answer: bytes) -> bytes:
    """Return what the process answered. Raise `InvalidRequestError` and `SizeMismatchError` as it says."""
    if status == _REFUSED:
        raise unpack_error(json.loads(answer))
    if status == _OTHER_SIZE:
        width_px, height_px = json.loads(answer)
        raise SizeMismatchError((width_px, height_px))
    if status == _UNFORESEEN or status in _CRASHES:
        log.error("action=decode status=%s error=%s", status, answer.decode("utf-8", "replace")[:_MAX_LOGGED])
        raise PictureDamagedError
    if status != 0 or not answer:
        raise PictureTooCostlyError
    return answer


@lru_cache(maxsize=1)
def _turns(loop: asyncio.AbstractEventLoop) -> FairTurns:
    return FairTurns(AT_ONCE, of_guild=AT_ONCE_OF_GUILD, of_member=1)


def _environment() -> dict[str, str]:
    """Return what Python needs to start, and no secret."""
    needed = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    return needed | {"PYTHONPATH": str(_ROOT)}


# The process.


def main(words: list[str]) -> int:
    _limit()
    data = sys.stdin.buffer.read()
    try:
        answer = _work(data, words)
    except InvalidRequestError as wrong:
        sys.stdout.buffer.write(json.dumps(wrong.packed()).encode())
        return _REFUSED
    except SizeMismatchError as other:
        sys.stdout.buffer.write(json.dumps(other.size_px).encode())
        return _OTHER_SIZE
    except MemoryError:
        raise
    except Exception as error:  # an unexpected error of a library; its text may come from the file
        where = traceback.extract_tb(error.__traceback__)[-1]
        sys.stdout.buffer.write(f"{type(error).__name__} {Path(where.filename).name}:{where.lineno}".encode())
        return _UNFORESEEN
    sys.stdout.buffer.write(answer)
    return 0


def _work(data: bytes, words: list[str]) -> bytes:
    if words[0] == "signed":
        recipe = read_recipe(data)
        return recipe.to_json().encode() + b"\n" + sign_png(*decode_png(data), recipe)
    if words[0] == "settings":
        return msgspec.json.encode(_read_settings(data))
    width, height, *said = map(int, words[1:])
    said_px = (said[0], said[1]) if said else None
    return fit_upload(data, (width, height), said_px=said_px, reading=Reading(words[0]))


def _read_settings(data: bytes) -> _Settings:
    texts = read_texts(data)
    return (read_recipe(data), None) if RECIPE_KEYWORD in texts else (None, read_foreign(texts))


def _limit() -> None:
    if sys.platform == "win32":
        return
    import resource

    os.nice(5)  # the event loop is waited for by everyone

    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # a tighter limit of the operator's stays; macOS knows no AS
            resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

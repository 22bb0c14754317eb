"""Downloads from the Hugging Face hub: one commit, only the files that may be read, each checked against its hash.

The branch or tag in a request is turned into the 40 hex digits of a commit first, and that is what is fetched and
written down. Files land in a folder of their own beside the register; one that is not complete is taken up again.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling
from tqdm import tqdm

from generation import progress
from generation.characters import is_printable
from generation.errors import AtelierError, ConfigurationError
from generation.models.hashing import digest_file
from generation.models.hub_choice import CARD, choose, find_word_list, take_word_list
from generation.models.inspect import read_text_kind
from generation.models.json_file import read_json
from generation.program import format_command

_ID = re.compile(
    r"(?P<repo>[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95})"
    r"(?:/(?P<file>.+\.(?:safetensors|gguf)|(?:.+/)?text_encoder(?:_[23])?))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_UNSAFE_SIGNS = frozenset('\\:*?"<>|')
_SPARE_BYTES = 2**30
_STAGING = ".fetching"
_ABANDONED_S = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched: where it lies now, from which commit, and its model card if it has one."""

    path: Path
    source: str
    revision: str
    card: Path
    words: Path | None = None
    """The folder of a text encoder's word list."""


def is_hub_id(text: str) -> bool:
    """Return whether it looks like `owner/name`, or that with `/file.safetensors` (or `.gguf`), or `/text_encoder`."""
    found = _ID.fullmatch(text)
    return found is not None and ".." not in text and (found["file"] is None or is_safe_name(found["file"]))


def is_safe_name(name: str) -> bool:
    """Return whether a repository's file can be written under its own name: it stays inside, on any system."""
    is_plain = is_printable(name) and not _UNSAFE_SIGNS & set(name)
    return is_plain and not any(part.startswith(".") or part.strip() != part or not part for part in name.split("/"))


def fetch(
    models_dir: Path,
    hub_id: str,
    *,
    name: str,
    revision: str | None,
    half: bool,
    replaces: bool = False,
    say: Callable[[str], None],
) -> Fetched:
    """Download a model, a part of one or one file of a repository into `models_dir / name`.

    The word list of a text encoder comes with it. With `half`, half-precision weights are taken where there are some.
    `replaces`: into a folder of its own beside that of the same name, which stays. Raise `ConfigurationError` on
    failure.
    """
    repo, wanted = _split(hub_id)
    target, staging = models_dir / name, models_dir / f".{name}{_STAGING}"
    if not replaces:
        _require_no_folder(target)
    _clear_abandoned(models_dir, but=staging)
    with _explaining(repo):
        shot = _look(repo, revision)
        if replaces:
            target = models_dir / f"{name}-{shot.commit[:12]}"
            _require_no_folder(target)

        def read_settings(file: str) -> dict[str, Any]:
            _download(shot, (shot.there[file],), staging)
            settings: dict[str, Any] = read_json(staging / file)
            return settings

        choice = choose(repo, shot.there, wanted, half=half, read_settings=read_settings)
        _require_room(models_dir, choice.files)
        say(f"{repo} at commit {shot.commit}: {len(choice.files)} files, {_size(choice.files)}")
        _download(shot, choice.files, staging)
        if kind := read_text_kind(staging / choice.path):
            words = find_word_list(shot.there, str(PurePosixPath(choice.path).parent), kind)
            _download(shot, take_word_list(shot.there, words), staging)
            choice = choice._replace(words=words)
    shutil.rmtree(staging / ".cache", ignore_errors=True)
    staging.replace(target)
    found = target / choice.words if choice.words is not None else None
    return Fetched(target / choice.path, repo, shot.commit, target / CARD, found)


def fetch_words(models_dir: Path, hub_id: str, *, name: str, kind: str, say: Callable[[str], None]) -> Path:
    """Download the word list of a repository for a kind of text encoder and return its folder below `models_dir`.

    The folder is named by the commit. Raise `ConfigurationError` on failure, or if there is none.
    """
    repo, wanted = _split(hub_id)
    with _explaining(repo):
        shot = _look(repo, None)
        words = find_word_list(shot.there, wanted or ".", kind)
        if words is None:
            problem = f"{repo} has no word list (tokenizer.json, or vocab.json and merges.txt)."
            raise ConfigurationError(problem=problem, remedy="Name the model that the text encoder belongs to.")
        files, folder = take_word_list(shot.there, words), models_dir / f"{name}-words-{shot.commit[:12]}"
        _require_room(models_dir, files)
        say(f"{repo} at commit {shot.commit}: its word list, {_size(files)}")
        _download(shot, files, folder)
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return folder / words


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A repository at one commit. Names that could lead outside a folder are left out."""

    repo: str
    commit: str
    there: Mapping[str, RepoSibling]


def _look(repo: str, revision: str | None) -> _Snapshot:
    info = HfApi().model_info(repo, revision=revision, files_metadata=True)
    commit = info.sha or ""
    if not _COMMIT.fullmatch(commit):
        raise ConfigurationError(problem=f"The hub names no commit of {repo}.", remedy="Try again later.")
    there = {each.rfilename: each for each in info.siblings or [] if is_safe_name(each.rfilename)}
    return _Snapshot(repo, commit, there)


def _download(shot: _Snapshot, files: Iterable[RepoSibling], folder: Path) -> None:
    for each in files:
        with progress.task(f"Fetching {each.rfilename}", each.size, is_bytes=True) as task:
            bar = _make_bar(task)
            hf_hub_download(shot.repo, each.rfilename, revision=shot.commit, local_dir=folder, tqdm_class=bar)
        with progress.task(f"Checking {each.rfilename}", each.size, is_bytes=True):
            _check_hash(folder / each.rfilename, each)


def _make_bar(task: progress.Task) -> type[tqdm]:
    """Return a class by which the library tells how far it is. It draws nothing itself."""

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *_: Any, initial: int = 0, **__: Any) -> None:
            super().__init__(disable=True)
            task.move(initial)

        def update(self, n: float | None = 1) -> None:
            task.move(task.done + int(n or 0))

    return Bar


@contextmanager
def _explaining(repo: str) -> Iterator[None]:
    """Raise `ConfigurationError` for any error of the library. Its HTTP client has errors of its own, and settings of
    the machine add others."""
    try:
        yield
    except AtelierError:
        raise
    except Exception as error:
        raise _failure(repo, error) from None


def _split(hub_id: str) -> tuple[str, str | None]:
    found = _ID.fullmatch(hub_id)
    assert found is not None
    return found["repo"], found["file"]


def _require_no_folder(target: Path) -> None:
    if target.exists():
        adding = format_command(f"models add {target}")
        remedy = f"Add what lies there ({adding}), choose another name with --name, or remove it."
        raise ConfigurationError(problem=f"There is already a folder {target}.", remedy=remedy)


def _clear_abandoned(models_dir: Path, *, but: Path) -> None:
    """Remove unfinished downloads that were not resumed for a week."""
    for folder in models_dir.glob(f".*{_STAGING}"):
        times = [path.stat().st_mtime for path in (folder, *folder.rglob("*"))]
        if folder != but and time.time() - max(times) > _ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)


def _check_hash(path: Path, expected: RepoSibling) -> None:
    """Compare with the hub's own: SHA-256 of a large file, git's SHA-1 of a small one. Remove a wrong one."""
    if expected.lfs is not None:
        is_right = digest_file(path) == expected.lfs.sha256
    else:
        data = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        is_right = expected.blob_id in (None, blob)
    if not is_right:
        path.unlink()
        problem = f"{expected.rfilename} arrived damaged: its hash is not the one that the hub names."
        raise ConfigurationError(problem=problem, remedy="Try again; only what is missing is fetched.")


def _require_room(models_dir: Path, chosen: Collection[RepoSibling]) -> None:
    models_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(models_dir).free
    if sum(each.size or 0 for each in chosen) + _SPARE_BYTES > free:
        problem = f"{_size(chosen)} do not fit: {free / 2**30:.1f} GiB are free in {models_dir}."
        raise ConfigurationError(problem=problem, remedy="Make room, or set ATELIER_MODELS_DIR to another disk.")


def _size(chosen: Collection[RepoSibling]) -> str:
    return f"{sum(each.size or 0 for each in chosen) / 1e9:.2f} GB"


def _failure(repo: str, error: Exception) -> ConfigurationError:
    """Return the error to show for an error of the library, with a remedy."""
    if isinstance(error, GatedRepoError):
        remedy = "Accept its terms on its page, and write HF_TOKEN=… (a token of your account) before the command."
        return ConfigurationError(problem=f"{repo} is open only to those who accept its terms.", remedy=remedy)
    if isinstance(error, RevisionNotFoundError):
        return ConfigurationError(problem=f"{repo} has no such revision.", remedy="Name a branch, a tag or a commit.")
    if isinstance(error, RepositoryNotFoundError):
        return ConfigurationError(
            problem=f"There is no {repo} on the hub.", remedy="Check the name; private ones need HF_TOKEN."
        )
    if isinstance(error, OfflineModeIsEnabled):
        return ConfigurationError(
            problem="HF_HUB_OFFLINE is set, so the hub is not asked.", remedy="Unset it for this command."
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return _answered(repo, int(status))
    first = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
    if _is_network(error):
        remedy = "Check the network and the proxy settings of this machine; what was fetched is kept."
        return ConfigurationError(problem=f"The hub cannot be reached for {repo} ({first}).", remedy=remedy)
    remedy = "What was fetched is kept, and only the rest is fetched next time."
    return ConfigurationError(problem=f"{repo} could not be fetched ({first}).", remedy=remedy)


def _answered(repo: str, status: int) -> ConfigurationError:
    """Return the error to show when the hub, or a proxy before it, answered with an error."""
    problem = f"The hub refuses {repo} (HTTP status {status})."
    if status in (401, 403):
        remedy = "Check HF_TOKEN, and that its account may read the repository."
    elif status == 407:
        remedy = "The proxy of this machine needs a name and a password: see its settings."
    elif status == 429:
        remedy = "The hub was asked too often. Wait some minutes, or write HF_TOKEN=… before the command."
    else:
        remedy = "Try again later; what was fetched is kept."
    return ConfigurationError(problem=problem, remedy=remedy)


def _is_network(error: Exception) -> bool:
    """Return whether no server answered. The library wraps its HTTP client's errors, or lets them through."""
    is_clients = any(cls.__module__.startswith("httpx") for cls in type(error).__mro__)
    return is_clients or isinstance(error, LocalEntryNotFoundError | ConnectionError | TimeoutError)

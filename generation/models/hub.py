"""Downloads from the Hugging Face hub: one commit, only the files that may be read, each checked against its hash.

The branch or tag in a request is turned into the 40 hex digits of a commit first, and that is what is fetched and
written down. Files land in a folder of their own beside the register; one that is not complete is taken up again.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling

from generation.characters import is_printable
from generation.errors import AtelierError, ConfigurationError
from generation.models.families import FAMILIES
from generation.models.hashing import digest_file
from generation.models.layout import is_settings
from generation.program import format_command

_ID = re.compile(
    r"(?P<repo>[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95})(?:/(?P<file>.+\.(?:safetensors|gguf)))?"
)
_FILES = (".safetensors", ".gguf")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_UNSAFE_SIGNS = frozenset('\\:*?"<>|')
_PARTS = frozenset(part for family in FAMILIES.values() for part in family.components) | {"scheduler", "safety_checker"}
_CARD = "README.md"
_INDEX = "model_index.json"
_WEIGHTS = re.compile(r"(diffusion_pytorch_model|model)(?P<half>\.fp16)?(-\d{5}-of-\d{5})?\.safetensors")
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


def is_hub_id(text: str) -> bool:
    """Return whether it looks like `owner/name`, or `owner/name/file.safetensors` (or `.gguf`)."""
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
    """Download a model, or one file of a repository, into `models_dir / name`. Raise `ConfigurationError` on failure.

    With `half`, half-precision weights are taken where there are some. `replaces`: into a folder of its own beside
    that of the same name, which stays. The library draws the progress bars.
    """
    found = _ID.fullmatch(hub_id)
    assert found is not None
    repo, file = found["repo"], found["file"]
    target, staging = models_dir / name, models_dir / f".{name}{_STAGING}"
    if not replaces:
        _require_no_folder(target)
    _clear_abandoned(models_dir, but=staging)
    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True)
        commit = info.sha or ""
        if not _COMMIT.fullmatch(commit):
            raise ConfigurationError(problem=f"The hub names no commit of {repo}.", remedy="Try again later.")
        if replaces:
            target = models_dir / f"{name}-{commit[:12]}"
            _require_no_folder(target)
        chosen = _choose(repo, info.siblings or [], file, half=half)
        _require_room(models_dir, chosen)
        say(f"{repo} at commit {commit}: {len(chosen)} files, {_size(chosen)}")
        for each in chosen:
            hf_hub_download(repo, each.rfilename, revision=commit, local_dir=staging)
            _check_hash(staging / each.rfilename, each)
    except AtelierError:
        raise
    except Exception as error:  # its HTTP client has errors of its own, and settings of the machine add others
        raise _failure(repo, error) from None
    shutil.rmtree(staging / ".cache", ignore_errors=True)
    staging.replace(target)
    path = target if any(each.rfilename == _INDEX for each in chosen) else target / _select_weights(chosen)
    return Fetched(path, repo, commit, target / _CARD)


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


def _choose(repo: str, siblings: Iterable[RepoSibling], file: str | None, *, half: bool) -> list[RepoSibling]:
    """Return the files worth fetching. Names that could lead outside the folder are left out."""
    there = {each.rfilename: each for each in siblings if is_safe_name(each.rfilename)}
    card = [there[_CARD]] if _CARD in there else []
    if file is not None or _INDEX not in there:
        return [*card, there[_one_file(repo, there, file)]]
    chosen = [*card, there[_INDEX]]
    for part in sorted(_PARTS):
        inside = {name: each for name, each in there.items() if PurePosixPath(name).parent == PurePosixPath(part)}
        chosen += [each for name, each in inside.items() if is_settings(PurePosixPath(name).name)]
        chosen += _weights(repo, part, inside, half=half)
    return chosen


def _weights(repo: str, part: str, inside: dict[str, RepoSibling], *, half: bool) -> list[RepoSibling]:
    matches = {name: _WEIGHTS.fullmatch(PurePosixPath(name).name) for name in inside}
    full = [name for name, found in matches.items() if found and not found["half"]]
    halved = [name for name, found in matches.items() if found and found["half"]]
    if not full and not halved and any(name.endswith(".bin") for name in inside):
        problem = f"{repo} has its {part} only in a format that can run code (.bin)."
        raise ConfigurationError(problem=problem, remedy="Look for a repository with .safetensors files.")
    taken = halved if halved and (half or not full) else full
    return [inside[name] for name in taken]


def _one_file(repo: str, there: dict[str, RepoSibling], file: str | None) -> str:
    offered = [name for name in there if name.endswith(_FILES)]
    if file is not None and file in there:
        return file
    if file is None and len(offered) == 1:
        return offered[0]
    if not offered:
        problem = f"{repo} holds no model in the diffusers layout and no .safetensors file."
        raise ConfigurationError(problem=problem, remedy="Other formats can run code and are never opened.")
    shown = ", ".join(offered[:10]) + (" …" if len(offered) > 10 else "")
    wanted = f"{repo} has no file {file}." if file else f"{repo} holds {len(offered)} files of weights."
    raise ConfigurationError(problem=wanted, remedy=f"Name one: {repo}/FILE. There are: {shown}.")


def _select_weights(chosen: list[RepoSibling]) -> str:
    return next(each.rfilename for each in chosen if each.rfilename.endswith(_FILES))


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


def _require_room(models_dir: Path, chosen: list[RepoSibling]) -> None:
    models_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(models_dir).free
    if sum(each.size or 0 for each in chosen) + _SPARE_BYTES > free:
        problem = f"{_size(chosen)} do not fit: {free / 2**30:.1f} GiB are free in {models_dir}."
        raise ConfigurationError(problem=problem, remedy="Make room, or set ATELIER_MODELS_DIR to another disk.")


def _size(chosen: list[RepoSibling]) -> str:
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

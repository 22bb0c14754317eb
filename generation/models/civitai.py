"""Downloads from Civitai: the facts of a version from its public JSON, and its file, resumed and checked by hash.

The site answers a download with a redirect to a signed link on another host, which refuses requests that still carry
the token; it does not answer HEAD as GET, and refuses clients without a name. Source: developer.civitai.com/site.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from generation import progress
from generation.characters import make_line
from generation.errors import ConfigurationError
from generation.models.families import RUN_HERE
from generation.models.hashing import digest_file
from generation.models.hub import is_safe_name
from generation.models.links import CivitaiLink

ENDPOINT = "https://civitai.com"
_LORA_TYPES = ("LORA", "LoCon", "DoRA")
USED_TYPES = frozenset((*_LORA_TYPES, "Checkpoint", "Controlnet", "TextualInversion", "VAE", "Upscaler"))
_BASES = re.compile(
    r"SD 1\.|SD 2\.|SDXL|Pony(?! V7)|Illustrious|NoobAI|Z-?Image|Qwen|Flux\.?2 Klein|Other|$", re.IGNORECASE
)
"""The base models whose checkpoints, ControlNets, LoRA and words can be used here, as Civitai names them."""
_FURTHER_BASES = {
    "Checkpoint": re.compile(r"Flux\.?1|Chroma|SD 3|Krea", re.IGNORECASE),
    **dict.fromkeys(_LORA_TYPES, re.compile(r"Flux\.?1|Chroma|SD 3|Krea|Ernie", re.IGNORECASE)),
}
"""Those of which this type alone can be used: they have no ControlNets here, or are read from folders alone."""
_FREE_OF_BASE = frozenset(("VAE", "Upscaler"))
_CHUNK_BYTES = 1 << 20
_SPARE_BYTES = 1 << 30
_NUM_TRIES = 5
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
_PAGE_BYTES = 8 << 20
_STAGING = ".fetching"
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CivitaiFile:
    """One file of one version, and what its page says of it."""

    name: str
    model_id: int
    version_id: int
    url: str
    size_bytes: int
    sha256: str
    """Lower case; empty if the site names none."""
    licence: str
    base_model: str
    trigger_words: tuple[str, ...]

    @property
    def page(self) -> str:
        """The page of the version."""
        return f"{ENDPOINT}/models/{self.model_id}?modelVersionId={self.version_id}"


def fetch(
    models_dir: Path,
    link: CivitaiLink,
    *,
    choose_folder: Callable[[CivitaiFile], str],
    half: bool,
    token: str,
    say: Callable[[str], None],
) -> tuple[CivitaiFile, Path]:
    """Download the file that a link leads to. Return it and its path.

    `choose_folder` names its folder in `models_dir`, or raises. With `half`, half precision is taken where there is
    some. Raise `ConfigurationError` on failure; what was fetched is kept, and a later call
    fetches the rest.
    """
    return asyncio.run(_fetch(models_dir, link, choose_folder, half=half, token=token, say=say))


async def _fetch(
    models_dir: Path,
    link: CivitaiLink,
    choose_folder: Callable[[CivitaiFile], str],
    *,
    half: bool,
    token: str,
    say: Callable[[str], None],
) -> tuple[CivitaiFile, Path]:
    headers = {"User-Agent": "atelier-bot"} | ({"Authorization": f"Bearer {token}"} if token else {})
    async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT, trust_env=True) as session:
        file = choose_file(*await _read_version(session, link), half=half)
        target = models_dir / choose_folder(file)
        staging = models_dir / f".{target.name}-{file.version_id}{_STAGING}"
        if target.exists():
            remedy = f"Add what lies there (models add {target}), choose another name with --name, or remove it."
            raise ConfigurationError(problem=f"There is already a folder {target}.", remedy=remedy)
        _require_room(staging, file)
        say(f"{file.page}: {file.name}, {file.size_bytes / 1e9:.2f} GB")
        await _download(session, file, staging / file.name, has_token=bool(token))
    _check_hash(staging / file.name, file)
    staging.replace(target)
    return file, target / file.name


def choose_file(model: Json, version: Json, *, half: bool) -> CivitaiFile:
    """Return the file of a version to use. Raise `ConfigurationError` if none can be used here."""
    title, kind, base = str(model.get("name", "")), str(model.get("type", "")), str(version.get("baseModel") or "")
    if kind not in USED_TYPES:
        problem = f"“{_short(title)}” on Civitai is of the type {_short(kind)}, which cannot be used here."
        raise ConfigurationError(problem=problem, remedy=f"These can: {', '.join(sorted(USED_TYPES))}.")
    is_run = _BASES.match(base) or (kind in _FURTHER_BASES and _FURTHER_BASES[kind].match(base))
    if kind not in _FREE_OF_BASE and not is_run:
        problem = f"“{_short(title)}” on Civitai is made for {_short(base)}, which is not run here."
        raise ConfigurationError(problem=problem, remedy=RUN_HERE)
    files = [file for file in version.get("files") or () if _is_usable(file)]
    if not files:
        problem = f"This version of “{_short(title)}” on Civitai has no .safetensors file."
        raise ConfigurationError(problem=problem, remedy="Other formats can run code and are never opened.")
    best = max(files, key=lambda file: (half and _precision(file) == "fp16", bool(file.get("primary"))))
    return CivitaiFile(
        name=best["name"],
        model_id=int(model["id"]),
        version_id=int(version["id"]),
        url=f"{_endpoint()}/api/download/models/{int(version['id'])}?fileId={int(best['id'])}",
        size_bytes=int(float(best.get("sizeKB") or 0) * 1024),
        sha256=str((best.get("hashes") or {}).get("SHA256") or "").lower(),
        licence=_describe_licence(model),
        base_model=_short(base),
        trigger_words=tuple(filter(None, (_short(str(each)) for each in version.get("trainedWords") or ()))),
    )


def _is_usable(file: Json) -> bool:
    name = str(file.get("name") or "")
    is_weights = file.get("type") in ("Model", "Pruned Model", "VAE", None)
    return is_weights and name.endswith(".safetensors") and "/" not in name and is_safe_name(name) and "id" in file


def _precision(file: Json) -> str:
    return str((file.get("metadata") or {}).get("fp") or "")


def _describe_licence(model: Json) -> str:
    """Return the permissions that the author grants on Civitai, in a few words."""
    uses = model.get("allowCommercialUse")
    given = uses if isinstance(uses, list) else [str(uses)]
    parts = [
        "no credit needed" if model.get("allowNoCredit") else "credit the author",
        "pictures may be sold" if "Image" in given or "Sell" in given else "no commercial use",
        "may be merged" if model.get("allowDerivatives") else "no merges",
    ]
    return f"Civitai: {', '.join(parts)}"


async def _read_version(session: aiohttp.ClientSession, link: CivitaiLink) -> tuple[Json, Json]:
    """Return the JSON of a model and of the wanted version of it, the newest if the link names none."""
    model_id = link.model_id
    if model_id is None:
        model_id = (await _read_json(session, f"model-versions/{link.version_id}")).get("modelId")
    model = await _read_json(session, f"models/{int(model_id or 0)}")
    versions = [each for each in model.get("modelVersions") or () if isinstance(each, dict)]
    wanted = [each for each in versions if link.version_id in (None, each.get("id"))]
    if not wanted:
        problem = f"Model {model_id} on Civitai has no version {link.version_id or ''}.".replace(" .", ".")
        raise ConfigurationError(problem=problem, remedy="Copy the link from the page of the version you want.")
    return model, wanted[0]


async def _read_json(session: aiohttp.ClientSession, path: str) -> Json:
    url = f"{_endpoint()}/api/v1/{path}"
    try:
        async with session.get(url) as response:
            if response.status != 200:
                raise _refuse(response.status, has_token="Authorization" in session.headers)
            data = await response.content.read(_PAGE_BYTES)
            found = json.loads(data)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _build_unreachable(error) from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigurationError(problem="Civitai gave an answer that is no JSON.", remedy="Try again later.")
    return found


async def _download(session: aiohttp.ClientSession, file: CivitaiFile, path: Path, *, has_token: bool) -> None:
    """Download a file, going on from what is there. A connection that breaks is tried again while it gets further."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tries = 0
    while True:
        had = _count_bytes(path)
        try:
            return await _download_rest(session, file, path, has_token=has_token)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            has = _count_bytes(path)
            tries = 0 if has > had else tries + 1
            if tries >= _NUM_TRIES:
                raise _build_unreachable(error) from None


async def _download_rest(session: aiohttp.ClientSession, file: CivitaiFile, path: Path, *, has_token: bool) -> None:
    had = _count_bytes(path)
    async with session.get(file.url, headers={"Range": f"bytes={had}-"} if had else {}) as response:
        if response.status == 416:  # nothing is left to fetch
            return
        if response.status not in (200, 206) or response.content_type == "text/html":
            status = 401 if response.content_type == "text/html" and response.status == 200 else response.status
            raise _refuse(status, has_token=has_token)
        had = had if response.status == 206 else 0
        total = had + (response.content_length or 0) or None
        with (
            path.open("ab" if had else "wb") as kept,
            progress.task(f"Fetching {file.name[:40]}", total, is_bytes=True) as task,
        ):
            task.move(had)
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                kept.write(chunk)
                task.move(task.done + len(chunk))


def _count_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_hash(path: Path, file: CivitaiFile) -> None:
    """Compare with the site's SHA-256. Remove a wrong file."""
    if not file.sha256 or digest_file(path) == file.sha256:
        return
    path.unlink()
    problem = f"{file.name} arrived damaged: its hash is not the one that Civitai names."
    raise ConfigurationError(problem=problem, remedy="Try again.")


def _require_room(staging: Path, file: CivitaiFile) -> None:
    staging.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(staging.parent).free
    if file.size_bytes + _SPARE_BYTES > free:
        problem = f"{file.size_bytes / 1e9:.2f} GB do not fit: {free / 2**30:.1f} GiB are free in {staging.parent}."
        raise ConfigurationError(problem=problem, remedy="Make room, or set ATELIER_MODELS_DIR to another disk.")


def _refuse(status: int, *, has_token: bool) -> ConfigurationError:
    problem = f"Civitai refuses (HTTP status {status})."
    if status == 404:
        return ConfigurationError(problem="Civitai has no such model or version.", remedy="Check the link.")
    if status in (401, 403) and not has_token:
        remedy = (
            "Its author wants people to log in: make an API key in your account there, and set ATELIER_CIVITAI_TOKEN."
        )
    elif status in (401, 403):
        remedy = "Check ATELIER_CIVITAI_TOKEN, and that your account may download it (early access is paid for)."
    elif status == 429:
        remedy = "It was asked too often: wait some minutes."
    else:
        remedy = "Try again later; what was fetched is kept."
    return ConfigurationError(problem=problem, remedy=remedy)


def _build_unreachable(error: Exception) -> ConfigurationError:
    reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    remedy = "Check the network and the proxy settings of this machine; what was fetched is kept."
    return ConfigurationError(problem=f"Civitai cannot be reached ({reason}).", remedy=remedy)


def _endpoint() -> str:
    return os.environ.get("CIVITAI_ENDPOINT", ENDPOINT).rstrip("/")


def _short(text: str) -> str:
    return make_line(text, most=80)

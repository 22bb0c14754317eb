"""What people paste for a model: a page or a download link of the Hugging Face hub or of Civitai."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from generation.models.registry import TEXT_PARTS

_HUB_HOSTS = frozenset(("huggingface.co", "www.huggingface.co", "hf.co"))
_CIVITAI_HOSTS = frozenset(
    ("civitai.com", "www.civitai.com", "civitai.red", "www.civitai.red", "civitai.green", "www.civitai.green")
)
_AIR = re.compile(r"urn:air:[\w.-]+:[\w.-]+:civitai:(?P<model>\d{1,12})(?:@(?P<version>\d{1,12}))?", re.IGNORECASE)
_MODEL_PAGE = re.compile(r"/(?:[a-z]{2}/)?models/(\d{1,12})(?:/.*)?")
_VERSION = re.compile(r"/api/(?:download/models|v1/model-versions)/(\d{1,12})/?")
_HUB_FILE = re.compile(r"/([^/]+/[^/]+)/(?:blob|resolve|raw)/([^/]+)/(.+)")
_HUB_TREE = re.compile(r"/([^/]+/[^/]+)/(?:tree|commit)/([^/]+)(?:/(.*))?")
_HUB_PAGE = re.compile(r"/([^/]+/[^/]+)/?")


@dataclass(frozen=True, slots=True)
class HubLink:
    """A model of the hub: `owner/name`, that with `/FILE` or `/text_encoder`, and a branch, tag or commit if the link
    names one."""

    hub_id: str
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class CivitaiLink:
    """A model of Civitai by its number, a version of it by another; one of the two may be unknown."""

    model_id: int | None = None
    version_id: int | None = None


def is_url(text: str) -> bool:
    """Return whether the text is a web address, or Civitai's own kind of name (AIR)."""
    return text.casefold().startswith(("http://", "https://", "urn:air:"))


def parse_link(text: str) -> HubLink | CivitaiLink | None:
    """Return what a link leads to; None if it is of another site, or of no model."""
    if found := _AIR.fullmatch(text.strip()):
        return CivitaiLink(int(found["model"]), int(found["version"]) if found["version"] else None)
    try:
        parts = urlsplit(text.strip())
        host = (parts.hostname or "").casefold()
    except ValueError:
        return None
    if host in _CIVITAI_HOSTS:
        return _parse_civitai(parts.path, parts.query)
    return _parse_hub(unquote(parts.path)) if host in _HUB_HOSTS else None


def _parse_civitai(path: str, query: str) -> CivitaiLink | None:
    if found := _VERSION.fullmatch(path):
        return CivitaiLink(version_id=int(found[1]))
    if found := _MODEL_PAGE.fullmatch(path):
        version = parse_qs(query).get("modelVersionId", [""])[0]
        return CivitaiLink(int(found[1]), int(version) if version.isdecimal() and len(version) < 13 else None)
    return None


def _parse_hub(path: str) -> HubLink | None:
    if found := _HUB_FILE.fullmatch(path):
        return HubLink(f"{found[1]}/{found[3]}", found[2])
    if found := _HUB_TREE.fullmatch(path):
        inside = (found[3] or "").rstrip("/")
        is_part = PurePosixPath(inside).name in TEXT_PARTS  # else the whole model is meant
        return HubLink(f"{found[1]}/{inside}" if is_part else found[1], found[2])
    found = _HUB_PAGE.fullmatch(path)
    return HubLink(found[1]) if found else None

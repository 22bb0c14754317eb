"""Who may start from which file: pictures of a server are open to its members, an upload is its uploader's alone.

What is painted at a low strength shows what it starts from, so a user who may start from a file can see it.
"""

from __future__ import annotations

from collections.abc import Collection

from generation.jobs.errors import NotYourUploadError, SourceDeletedError
from generation.jobs.job import Source
from generation.jobs.ports import JobStore
from generation.owner import Owner
from generation.requests.recipe import Recipe
from generation.requests.spec import GenerationRequest, ImageSpec

_UNKNOWN = Source()


async def require_sources(
    request: GenerationRequest, owner: Owner, store: JobStore, *, attached: Collection[str] = ()
) -> bool:
    """Return whether the request starts from an upload. Raise `NotAllowedError` unless the owner may use all of its
    files.

    `attached`: the files that came with the request. An exact replay may use the uploads of others, if the uploader
    made that picture in the same server and has not deleted it.
    """
    sources = await _fetch_sources(request.spec, owner, store, attached)
    barred = [each for each in sources if not each.is_usable]
    if barred and not all(each.is_upload for each in barred):
        raise SourceDeletedError
    if barred and not await _is_exact(request, owner, store):
        raise NotYourUploadError
    return bool(attached) or any(each.is_from_upload for each in sources)


async def require_uploader(spec: ImageSpec, owner: Owner, store: JobStore) -> None:
    """Raise `NotYourUploadError` if a picture of that spec starts from another user's upload."""
    if any(each.is_upload and not each.is_usable for each in await _fetch_sources(spec, owner, store)):
        raise NotYourUploadError


async def starts_from_upload(spec: ImageSpec, owner: Owner, store: JobStore) -> bool:
    """Return whether any source of a picture of that spec was attached, or painted from an attachment."""
    return any(each.is_from_upload for each in await _fetch_sources(spec, owner, store))


async def is_kept(recipe: Recipe, owner: Owner, store: JobStore) -> bool:
    """Return whether the recipe in a file may be followed exactly.

    A file can name any other by its hash. So one that starts from files must be of a picture of the same server.
    """
    return not recipe.spec.sources or await store.keeps(recipe.spec, recipe.trace, recipe.pixels_sha256, owner)


async def _is_exact(request: GenerationRequest, owner: Owner, store: JobStore) -> bool:
    replay = request.replay
    return replay is not None and await store.keeps(request.spec, replay.trace, replay.pixels_sha256, owner)


async def _fetch_sources(
    spec: ImageSpec, owner: Owner, store: JobStore, attached: Collection[str] = ()
) -> tuple[Source, ...]:
    files = spec.files - frozenset(attached)
    found = await store.fetch_sources(files, owner) if files else {}
    return tuple(found.get(sha256, _UNKNOWN) for sha256 in files)

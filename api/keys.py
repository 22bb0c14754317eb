"""Who asks: the member and server of a key.

Keys are looked up by their SHA-256, so how long that takes says nothing of a key that is nearly right. Nothing is
remembered of a key between two requests but the roles of its member, for a minute.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from async_lru import alru_cache

from api.context import ApiContext
from api.errors import KeyHeaderError, NoKeyError, WrongKeyError
from db.stores.api_keys import PREFIX
from generation.owner import Owner, is_server

ROLES_KEPT_S = 60.0
_MAX_HEADER = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whom a request is from, with their roles as of now."""

    owner: Owner
    key_id: int
    role_ids: tuple[int, ...] = ()


class Keys:
    """Asks the store for keys, and Discord for the roles of their members."""

    def __init__(self, context: ApiContext) -> None:
        self._store = context.rooms.api_keys
        self._fetch_roles = context.fetch_roles
        self._roles = alru_cache(maxsize=4096, ttl=ROLES_KEPT_S)(self._ask_roles)

    async def _ask_roles(self, owner: Owner) -> Sequence[int] | None:
        return await self._fetch_roles(owner)

    async def authenticate(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Return whom these headers are from. Raise `ApiError`."""
        found = await self._store.find(read_secret(headers))
        if found is None:
            raise WrongKeyError
        if not is_server(found.owner.guild_id):
            return Caller(owner=found.owner, key_id=found.id)
        role_ids = await self._roles(found.owner)
        if role_ids is None:  # they left
            await self._store.end_all(found.owner)
            self._roles.cache_invalidate(found.owner)
            raise WrongKeyError
        return Caller(owner=found.owner, key_id=found.id, role_ids=tuple(role_ids))


def read_secret(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the key in the headers. Raise `NoKeyError`, `KeyHeaderError`, `WrongKeyError`."""
    said = [value for name, value in headers if name.lower() == b"authorization"]
    if not said:
        raise NoKeyError
    if len(said) > 1 or len(said[0]) > _MAX_HEADER:
        raise KeyHeaderError
    scheme, _, rest = said[0].decode("latin-1").strip().partition(" ")
    match scheme.lower():
        case "bearer":
            secret = rest.strip()
        case "basic":
            secret = _read_password(rest.strip())
        case _:
            raise NoKeyError
    if not secret:
        raise NoKeyError
    if not secret.isascii() or not secret.startswith(PREFIX):
        raise WrongKeyError
    return secret


def _read_password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2].strip()
    except (binascii.Error, ValueError):
        raise WrongKeyError from None

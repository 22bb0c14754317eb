"""What a signed-in member may see: servers where they are a member now, and what is shown there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from async_lru import alru_cache

from api.context import ApiContext
from api.keys import ROLES_KEPT_S, Caller
from api.pictures import fetch_job, list_shown
from api.web.settings import WebSettings
from api.web.sign_in import Person
from generation.admission.errors import MembersUnknownError
from generation.errors import NotAllowedError, UnknownJobError
from generation.jobs.job import Image, Job
from generation.owner import DM_TENANT, USER_TENANT, Owner, is_server

MAX_SERVERS = 100
TENANTS = {DM_TENANT: "Direct messages", USER_TENANT: "Elsewhere"}


class NotAMemberError(NotAllowedError):
    """You are not a member of that server, or I am not there any more."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server, or a tenant without one, as a member sees it."""

    id: int
    name: str


def name_with(servers: list[Server], looked_at: int) -> list[Server]:
    """Return the servers, with the one that is looked at."""
    is_there = any(each.id == looked_at for each in servers)
    return servers if is_there else [*servers, Server(looked_at, "This server")]


class Access:
    """Asks Discord, and remembers its answers for a minute."""

    def __init__(self, context: ApiContext, settings: WebSettings) -> None:
        self._context, self._settings = context, settings
        self._roles = alru_cache(maxsize=4096, ttl=ROLES_KEPT_S)(self._ask_roles)
        self._moderates = alru_cache(maxsize=4096, ttl=ROLES_KEPT_S)(self._ask_moderates)

    async def _ask_roles(self, owner: Owner) -> Sequence[int] | None:
        return await self._context.fetch_roles(owner)

    async def _ask_moderates(self, owner: Owner) -> bool:
        desk = self._settings.desk
        return desk is not None and is_server(owner.guild_id) and await desk.moderates(owner)

    async def moderates(self, person: Person, guild_id: int) -> bool:
        """Return whether the member moderates that server. False while Discord cannot be asked."""
        try:
            return await self._moderates(Owner(guild_id, person.user_id))
        except MembersUnknownError:
            return False

    def is_operator(self, person: Person) -> bool:
        return person.user_id in self._settings.owner_ids

    async def list_servers(self, person: Person) -> list[Server]:
        """Return the servers in which the member has asked for pictures, the newest first."""
        names = self._settings.name_servers()
        found = (await self._context.rooms.history.fetch_guilds(person.user_id))[:MAX_SERVERS]
        return [
            Server(each, TENANTS.get(each) or names[each])
            for each in found
            if (each in TENANTS or each in names) and await self._is_member(Owner(each, person.user_id))
        ]

    async def require_member(self, person: Person, guild_id: int) -> Caller:
        """Return the member in that server. Raise `NotAMemberError`, `MembersUnknownError`."""
        owner = Owner(guild_id, person.user_id)
        if not is_server(guild_id):
            return Caller(owner=owner, key_id=0)
        roles = await self._roles(owner)
        if roles is None:
            self._roles.cache_invalidate(owner)
            raise NotAMemberError
        return Caller(owner=owner, key_id=0, role_ids=tuple(roles))

    async def _is_member(self, owner: Owner) -> bool:
        return not is_server(owner.guild_id) or await self._roles(owner) is not None

    async def fetch_image(self, person: Person, job_id: str, index: int) -> tuple[Job, Image]:
        """Return a picture that the member asked for, or that stands in the showcase of a server of theirs.

        Raise `UnknownJobError` for any other, so that not even its existence shows.
        """
        job = await self.fetch_job(person, job_id)
        if not 0 <= index < len(job.images):
            raise UnknownJobError
        return job, job.images[index]

    async def fetch_job(self, person: Person, job_id: str) -> Job:
        """Return such a job. Raise `UnknownJobError`."""
        job = await fetch_job(self._context, job_id)
        is_own = job.owner.user_id == person.user_id
        if not is_own and (not is_server(job.owner.guild_id) or await self._context.rooms.shares.fetch(job_id) is None):
            raise UnknownJobError
        try:
            await self.require_member(person, job.owner.guild_id)
        except NotAMemberError:
            raise UnknownJobError from None
        return job

    async def list_shown(self, job: Job) -> set[int]:
        """Return the indices of the pictures of a job that may be shown on a page."""
        return await list_shown(self._context, job)

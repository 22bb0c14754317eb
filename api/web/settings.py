"""What the pages need to know: where they are, and who they are to Discord."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from generation.jobs.job import Job
from generation.owner import Owner

NameServers = Callable[[], Mapping[int, str]]
"""Return the servers that the bot is in, by id, with their names."""


class ReviewDesk(Protocol):
    """Decides on reported and withheld pictures as the buttons of `/review` do, by rights on Discord."""

    async def moderates(self, owner: Owner) -> bool:
        """Return whether the member may moderate all of that server. Raise `MembersUnknownError`."""

    async def decide(self, owner: Owner, job: Job, name: str) -> None:
        """Dismiss, delete, warn or block. Raise `NotAllowedError`, `UnknownJobError`, `MembersUnknownError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """`url`: the address that browsers use, without a slash at its end."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    authorize_url: str = "https://discord.com/oauth2/authorize"
    discord_api_url: str = "https://discord.com/api/v10"
    owner_ids: frozenset[int] = frozenset()
    """Who sees the operator's page."""
    name_servers: NameServers = dict
    desk: ReviewDesk | None = None
    """None where there is no Discord to ask."""
    list_errors: Callable[[], Sequence[str]] = tuple
    """Returns the last errors in the log, without tracebacks, the newest first."""

    @property
    def is_tls(self) -> bool:
        return self.url.startswith("https://")

    @property
    def redirect_url(self) -> str:
        """Where Discord sends browsers back: to be entered at Discord, in the settings of the application."""
        return f"{self.url}/sign-in/done"

"""What the pages need to know: where they are, and who they are to Discord."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

NameServers = Callable[[], Mapping[int, str]]
"""Return the servers that the bot is in, by id, with their names."""


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
    list_errors: Callable[[], Sequence[str]] = tuple
    """Returns the last errors in the log, without tracebacks, the newest first."""

    @property
    def is_tls(self) -> bool:
        return self.url.startswith("https://")

    @property
    def redirect_url(self) -> str:
        """Where Discord sends browsers back: to be entered at Discord, in the settings of the application."""
        return f"{self.url}/sign-in/done"

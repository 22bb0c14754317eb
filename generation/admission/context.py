"""Who asks, where, and what binds them there."""

from __future__ import annotations

from dataclasses import dataclass

from generation.owner import USER_TENANT, Owner
from generation.policy.guild_preferences import Visibility
from generation.policy.member_preferences import NO_PREFERENCES, MemberPreferences
from generation.policy.policy import ChannelContext, Policy, Requester


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """Who asks, where, and what binds them there: read once, and handed on. Equal as long as none of it has changed."""

    owner: Owner
    requester: Requester
    place: ChannelContext
    policy: Policy
    own: MemberPreferences = NO_PREFERENCES
    """What the person chose for themself."""

    @property
    def is_private(self) -> bool:
        """Whether the person alone sees the answer: the server's choice, or theirs where it leaves that to them."""
        visibility = self.policy.settings.choices.visibility
        if visibility is Visibility.PRIVATE or self.owner.guild_id == USER_TENANT:
            return True
        return visibility is Visibility.PUBLIC and self.own.is_private and not self.place.is_dm

"""What people read about quotas. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cogs.common.deleted_references import format_role
from cogs.common.formatting import format_amount, format_small, join_dotted
from cogs.common.messages import Block, Lines, MessageSpec, Rule, Tone
from cogs.i18n.gettext import N_, _, ngettext
from generation.policy.quota import Quota, Scope, Unit, unit_name

KEY = "quotas"
NO_QUOTAS = N_("There are no quotas here. Use `/quota set` to add one.")
WHAT_A_STEP_IS = N_(
    "A standard step is one step of one 512 × 512 picture by Stable Diffusion 1.5. Larger pictures, more steps and "
    "larger models count more: `/models` says what a picture costs."
)
DAY_START = N_("Days start at midnight, {timezone}.")
LOCKED_OUT = N_("**No one can make requests here**: a quota for everyone is 0. Use `/quota set` to raise it.")
BINDS_NO_ONE = N_("A quota of a deleted role has no effect. Use `/quota remove id:` to remove it.")


def build_quotas(
    found: Sequence[Quota], *, guild_id: int, timezone: str, done: str | None = None, gone: Collection[int] = ()
) -> MessageSpec:
    """All quotas of a server, after what was just done. `gone`: the roles among them that were deleted."""
    lines = [format_quota(quota, guild_id, gone) for quota in found]
    blocks: list[Block] = [done, Rule()] if done else []
    blocks += [_("### Quotas of this server"), Lines(tuple(lines), KEY) if lines else _(NO_QUOTAS)]
    notes = [_("A member's own quota replaces the quotas of roles. With several roles, the highest quota counts.")]
    if any(quota.unit is Unit.COST for quota in found):
        notes.append(_(WHAT_A_STEP_IS))
    if gone:
        notes.append(_(BINDS_NO_ONE))
    if any(_locks_everyone_out(quota, guild_id) for quota in found):
        blocks.append(_(LOCKED_OUT))
    blocks.append("\n".join(format_small(note) for note in (*notes, format_day_start(timezone))))
    return MessageSpec(blocks=tuple(blocks), tone=Tone.DONE if done else Tone.PLAIN)


def format_set(quota: Quota, guild_id: int) -> str:
    return _("Set: **{limit}** · {whose}.", limit=_format_limit(quota), whose=_format_subject(quota, guild_id))


def format_removed(quota: Quota, guild_id: int, *, gone: Collection[int]) -> str:
    whose = _format_subject(quota, guild_id, gone)
    return _("Removed the quota of {unit} for {whose}.", unit=unit_name(quota.unit), whose=whose)


def format_quota(quota: Quota, guild_id: int, gone: Collection[int] = ()) -> str:
    return join_dotted((f"**{_format_limit(quota)}**", _format_subject(quota, guild_id, gone)))


def _locks_everyone_out(quota: Quota, guild_id: int) -> bool:
    is_of_all = quota.scope is Scope.GUILD or (quota.scope is Scope.ROLE and quota.subject_id == guild_id)
    return quota.limit == 0 and is_of_all


def _format_limit(quota: Quota) -> str:
    limit = f"{format_amount(quota.limit, quota.unit)} {_(unit_name(quota.unit, quota.limit))}"
    if quota.window_hours is None:
        return _("{limit} a day", limit=limit)
    return ngettext("{limit} in {number} hour", "{limit} in {number} hours", quota.window_hours, limit=limit)


def _format_subject(quota: Quota, guild_id: int, gone: Collection[int] = ()) -> str:
    match quota.scope:
        case Scope.ROLE if quota.subject_id == guild_id:  # @everyone, whose mention Discord shows with two of the @
            return _("each member")
        case Scope.GUILD:
            return _("the whole server together")
        case Scope.ROLE:
            return _("each member with {role}", role=format_role(quota.subject_id, gone))
        case Scope.USER:
            return _("only {member}", member=f"<@{quota.subject_id}>")


def format_day_start(timezone: str) -> str:
    return _(DAY_START, timezone=timezone)

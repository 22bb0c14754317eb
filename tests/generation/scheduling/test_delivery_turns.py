"""Fair turns among due posts, in any order of arrivals, ends and stalls; and a control that must fail."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.scheduling.delivery_turns import DeliveryTurns, Post

GUILDS, CHANNELS = range(4), range(3)
PLACES, PER_GUILD, MAX_STALLED = 4, 2, 3


def turns() -> DeliveryTurns:
    return DeliveryTurns(places=PLACES, places_per_guild=PER_GUILD, max_stalled=MAX_STALLED)


class Fifo(DeliveryTurns):
    """The oldest of all first, as a semaphore does it, within the same limits."""

    def __init__(self) -> None:
        super().__init__(places=PLACES, places_per_guild=PER_GUILD, max_stalled=MAX_STALLED)

    def _move_back(self, guild_id: int, channel_id: int) -> None:
        self._tidy(guild_id, channel_id)


@dataclass
class Watch:
    """Drives the turns, and checks the invariants after every call."""

    turns: DeliveryTurns
    numbers: count[int] = field(default_factory=count)
    waiting: list[Post] = field(default_factory=list)
    at_work: list[Post] = field(default_factory=list)
    stalled: list[Post] = field(default_factory=list)
    overtaken: dict[int, Counter[int]] = field(default_factory=dict)
    """By server with a post that may start: how often each other one started since it could."""

    def push(self, guild: int, channel: int, *, is_limited: bool) -> Post:
        number = next(self.numbers)
        post = Post(number, f"job{number}", guild, 10 * guild + channel, is_limited)
        self.waiting.append(post)
        self.turns.push(post)
        return post

    def start(self) -> Post | None:
        able = [post for post in self.waiting if self.may_start(post)]
        post = self.turns.start()
        assert (post is not None) == bool(able), "a place stays empty, or a limit is broken"
        if post is not None:
            assert post == min(each for each in able if each.channel_id == post.channel_id), "not the oldest"
            self.waiting.remove(post)
            self.at_work.append(post)
            self.count(post.guild_id, {each.guild_id for each in able})
        return post

    def count(self, started: int, able: set[int]) -> None:
        self.overtaken = {guild: self.overtaken.get(guild, Counter()) for guild in able - {started}}
        for behind in self.overtaken.values():
            behind[started] += 1

    def stall(self, index: int) -> None:
        if self.at_work:
            post = self.at_work.pop(index % len(self.at_work))
            self.stalled.append(post)
            given_up = self.turns.stall(post)
            assert (given_up is not None) == (len(self.stalled) >= MAX_STALLED)
            if given_up is not None:
                assert given_up == self.stalled.pop(0), "not the one that is silent longest"
                self.turns.end(given_up)
            self.may_have_changed()

    def end(self, index: int) -> None:
        under_way = [*self.at_work, *self.stalled, *self.waiting]
        if under_way:
            post = under_way[index % len(under_way)]
            self.turns.end(post)
            for posts in (self.at_work, self.stalled, self.waiting):
                if post in posts:
                    posts.remove(post)
            self.may_have_changed()

    def may_have_changed(self) -> None:
        able = {post.guild_id for post in self.waiting if self.may_start(post)}
        self.overtaken = {guild: self.overtaken.get(guild, Counter()) for guild in able}

    def may_start(self, post: Post) -> bool:
        is_busy = any(
            each.channel_id == post.channel_id and each.is_limited_by_channel for each in (*self.at_work, *self.stalled)
        )
        of_guild = sum(each.guild_id == post.guild_id for each in self.at_work)
        is_room = len(self.at_work) < PLACES and len(self.stalled) < MAX_STALLED
        return is_room and of_guild < PER_GUILD and not (is_busy and post.is_limited_by_channel)

    @property
    def worst(self) -> int:
        return max((number for behind in self.overtaken.values() for number in behind.values()), default=0)


Deed = tuple[str, int, int, bool]
DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["push", "push", "push", "start", "start", "stall", "end"]),
        st.sampled_from(GUILDS),
        st.sampled_from(CHANNELS),
        st.booleans(),
    ),
    max_size=80,
)


def run(watch: Watch, deeds: list[Deed]) -> int:
    """Do it all, then let everything end. Return how often one server overtook another that could have started."""
    worst = 0
    for what, guild, channel, is_limited in deeds:
        match what:
            case "push":
                watch.push(guild, channel, is_limited=is_limited)
            case "start":
                watch.start()
            case "stall":
                watch.stall(3 * guild + channel)
            case _:
                watch.end(3 * guild + channel)
        worst = max(worst, watch.worst)
    while watch.waiting or watch.at_work or watch.stalled:
        if watch.start() is None:
            watch.end(0)
        worst = max(worst, watch.worst)
    return worst


@settings(max_examples=300, deadline=None)
@given(DEEDS)
def test_no_server_that_could_start_is_overtaken_twice_by_another(deeds: list[Deed]) -> None:
    watch = Watch(turns())
    assert run(watch, deeds) <= 1
    assert not watch.turns._waiting
    assert not watch.turns._limited
    assert not watch.turns._due
    assert not watch.turns._per_guild
    assert watch.turns.start() is None


def test_first_come_first_served_is_seen_to_be_unfair() -> None:
    deeds = [("push", 0, 0, False)] * 9 + [("push", 1, 0, False), *[("start", 0, 0, False), ("end", 0, 0, False)] * 3]
    assert run(Watch(Fifo()), deeds) > 1
    assert run(Watch(turns()), deeds) <= 1


def test_a_slow_channel_holds_one_place_then_none() -> None:
    watch = Watch(turns())
    for _ in range(40):
        watch.push(0, 0, is_limited=True)
    first = watch.start()
    assert first is not None
    assert watch.start() is None, "the others of that channel would only wait with it"
    watch.stall(0)
    elsewhere = [watch.push(guild, 1, is_limited=True) for guild in GUILDS]
    assert [watch.start() for _ in GUILDS] == elsewhere, "every place, one of them for another channel of that server"
    assert not watch.turns.is_idle(first.channel_id)


def test_stalled_channels_of_a_server_delay_no_other_server() -> None:
    watch = Watch(turns())
    for channel in range(60):
        watch.push(0, channel, is_limited=True)
    for _ in range(30):
        watch.start()
        watch.stall(0)
    assert len(watch.stalled) == MAX_STALLED - 1, "the longest silent was given up each time"
    quiet = watch.push(1, 0, is_limited=True)
    assert quiet in (watch.start(), watch.start())


def test_a_post_with_its_own_rate_limit_does_not_wait_for_the_channel() -> None:
    watch = Watch(turns())
    watch.push(0, 0, is_limited=True)
    watch.push(0, 0, is_limited=True)
    own = watch.push(0, 0, is_limited=False)
    watch.start()
    assert watch.start() == own


def test_channels_of_a_server_take_turns() -> None:
    watch = Watch(turns())
    for channel in (0, 0, 0, 1):
        watch.push(0, channel, is_limited=False)
    started = [post.channel_id for _ in range(2) if (post := watch.start()) is not None]
    assert started == [0, 1]


def test_a_sign_of_life_puts_off_being_given_up() -> None:
    ours = turns()
    posts = [Post(number, f"job{number}", number, number, is_limited_by_channel=True) for number in range(3)]
    for post in posts:
        ours.push(post)
    for _ in posts:
        assert ours.start() is not None
    for post in posts[:2]:
        assert ours.stall(post) is None
    ours.touch(posts[0])
    assert ours.stall(posts[2]) == posts[1]


@pytest.mark.parametrize("state", ["waiting", "at work", "stalled"])
def test_every_end_frees_its_place(state: str) -> None:
    watch = Watch(turns())
    post = watch.push(0, 0, is_limited=True)
    if state != "waiting":
        watch.start()
    if state == "stalled":
        watch.stall(0)
    watch.turns.end(post)
    assert watch.turns.is_idle(0)
    again = Post(99, "again", 0, 0, is_limited_by_channel=True)
    watch.turns.push(again)
    assert watch.turns.start() == again

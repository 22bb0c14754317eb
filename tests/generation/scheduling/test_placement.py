"""Where an image goes, for any members and needs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from generation.scheduling.placement import NEWCOMER_FACTOR, Needs, Offer, choose, find_able

MODELS, CARDS, NAMES = ("small", "large"), ("", "card a", "card b"), ("w", "x", "y", "z")


@st.composite
def list_offers(draw: st.DrawFn) -> list[Offer]:
    return [
        Offer(
            name=name,
            slots=draw(st.integers(0, 5)),
            load=draw(st.integers(0, 11)),
            models=draw(st.frozensets(st.sampled_from(MODELS))),
            loaded=draw(st.frozensets(st.sampled_from(MODELS))),
            fingerprint=draw(st.sampled_from(CARDS)),
            forward_s=draw(st.none() | st.floats(0.01, 10)),
            is_shaky=draw(st.booleans()),
        )
        for name in draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    ]


any_needs = st.builds(
    Needs,
    model=st.sampled_from(MODELS),
    fingerprint=st.sampled_from(CARDS),
    avoids=st.frozensets(st.sampled_from(NAMES), max_size=2),
)


@given(any_needs, list_offers(), st.booleans())
def test_an_image_goes_where_there_is_room_and_where_it_is_able_to(
    needs: Needs, offers: list[Offer], is_newcomer: bool
) -> None:
    name = choose(needs, offers, is_newcomer=is_newcomer)
    able = find_able(needs, offers)
    free = [each for each in able if each.load < each.slots * (NEWCOMER_FACTOR if is_newcomer else 1)]
    assert (name in [each.name for each in free]) if free else name is None


@given(any_needs, list_offers())
def test_what_is_needed_narrows_the_members_down_as_far_as_some_are_left(needs: Needs, offers: list[Offer]) -> None:
    able = find_able(needs, offers)
    assert bool(able) == bool(offers), "work is never left over while there is any member"
    having = [each for each in offers if not each.models or needs.model in each.models]
    assert all(each in having for each in able) or not having, "the model goes before all else"
    if needs.fingerprint and any(each.fingerprint == needs.fingerprint for each in having):
        assert all(each.fingerprint in ("", needs.fingerprint) for each in able), "a replay goes home"
    if any(each.name not in needs.avoids for each in able):
        assert all(each.name not in needs.avoids for each in able), "not again where it was lost, if it can be helped"


def offer(name: str, **changes: object) -> Offer:
    basis = Offer(name=name, slots=4, models=frozenset(MODELS), fingerprint="card a", forward_s=0.1)
    return replace(basis, **changes)  # type: ignore[arg-type]


SMALL = Needs(model="small")


def test_a_newcomer_goes_to_the_fastest_even_beyond_its_slots() -> None:
    fast, slow = offer("fast", load=4), offer("slow", forward_s=0.6)
    assert choose(SMALL, [slow, fast], is_newcomer=True) == "fast"
    assert choose(SMALL, [slow, fast]) == "slow", "a flood fills what is free"
    assert choose(SMALL, [slow, replace(fast, load=8)], is_newcomer=True) == "slow", "twice its slots is full"


def test_equal_members_share_by_what_they_hold() -> None:
    assert choose(SMALL, [offer("x", load=2), offer("y", load=1)]) == "y"
    assert choose(SMALL, [offer("x", load=2), offer("y", load=1)], is_newcomer=True) == "y"


def test_an_image_goes_where_its_model_is_in_memory() -> None:
    there = offer("x", load=3, loaded=frozenset({"small"}))
    assert choose(SMALL, [offer("y"), there]) == "x"
    assert choose(SMALL, [offer("y"), replace(there, load=4)]) == "y", "rather than wait for it"


def test_a_replay_waits_for_the_member_of_its_fingerprint() -> None:
    needs = Needs(model="small", fingerprint="card b")
    home = offer("x", slots=0, fingerprint="card b")
    assert choose(needs, [home, offer("y")]) is None, "x is down, and expected back"
    assert choose(needs, [replace(home, slots=4, load=4), offer("y")]) is None
    assert choose(needs, [replace(home, slots=4), offer("y")]) == "x"
    assert choose(needs, [offer("y")]) == "y", "it comes out near"


def test_a_member_that_was_just_lost_comes_last() -> None:
    assert choose(SMALL, [offer("x", is_shaky=True), offer("y", load=3)]) == "y"
    assert choose(SMALL, [offer("x", is_shaky=True), offer("y", load=4)]) == "x"


def test_the_cloud_gets_what_may_leave_and_only_where_no_other_has_room() -> None:
    cloud = offer("cloud", is_cloud=True, models=frozenset({"small"}), fingerprint="cloud", forward_s=0.01)
    leaving = replace(SMALL, may_leave=True)
    assert choose(leaving, [cloud, offer("y", load=3)]) == "y", "its forwards are faster, and cost money"
    assert choose(leaving, [cloud, offer("y", load=4)]) == "cloud"
    assert choose(leaving, [cloud, offer("y", load=4)], is_newcomer=True) == "y"
    assert choose(SMALL, [cloud, offer("y", load=4)]) is None
    assert choose(SMALL, [cloud]) is None, "it waits rather than leave"
    assert choose(replace(SMALL, fingerprint="cloud"), [cloud, offer("y")]) == "y", "a replay is never its"
    assert choose(replace(leaving, model="large"), [cloud]) is None
    lost = replace(leaving, avoids=frozenset({"y"}))
    assert choose(lost, [replace(cloud, slots=0), offer("y")]) == "y", "the cloud is not waited for"

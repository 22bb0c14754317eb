"""Whatever members, channels and servers chose: a request can be built, within the limits, and each origin is true."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from generation.models.catalog import PAINTBOX, Catalog
from generation.models.sizes import get_shape_size
from generation.policy.defaults import Chooser, Layers, Wishes
from generation.policy.guild_preferences import ASPECTS, ChannelDefaults, GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.policy.member_preferences import MemberPreferences
from generation.policy.policy import ChannelContext, Policy
from generation.requests.origin import Origin
from generation.requests.samplers import SAMPLERS

FIRST = Catalog.open(PAINTBOX).default
CATALOG = Catalog((FIRST, replace(FIRST, name="second")))
MODELS = st.none() | st.sampled_from(("paintbox", "second", "gone"))
SHAPES = st.none() | st.sampled_from((*ASPECTS, "7:3"))
OWN = st.builds(
    MemberPreferences,
    model=MODELS,
    shape=SHAPES,
    sampler=st.none() | st.sampled_from((*SAMPLERS, "gone")),
    negative=st.none() | st.just("fog"),
)
CHANNEL = st.builds(ChannelDefaults, model=MODELS, shape=SHAPES)
SERVER = st.builds(
    GuildPreferences,
    models=st.sampled_from(((), ("paintbox",), ("second",))),
    default_aspect=st.none() | st.just("1:1"),
    max_side_px=st.sampled_from((128, 160, 2048)),
    max_steps=st.sampled_from((20, 150)),
)


@settings(max_examples=200)
@given(OWN, CHANNEL, SERVER, st.sampled_from((None, "3:2")))
def test_a_default_is_used_where_it_can_be_else_told_of(
    own: MemberPreferences, channel: ChannelDefaults, choices: GuildPreferences, typed: str | None
) -> None:
    policy = Policy(settings=GuildSettings(guild_id=5, choices=choices))
    layers = Layers(policy=policy, place=ChannelContext(channel_ids=(1,)), own=own, channel=channel)
    found = Chooser(Wishes(prompt="a", shape=typed), layers, CATALOG).choose()
    assert not choices.models or found.model.name in choices.models
    assert found.sampler is None or found.sampler in found.model.samplers
    if typed is not None:
        assert found.shape == typed
    elif found.shape is not None and found.chosen_by["shape"] in (Origin.MEMBER, Origin.CHANNEL):
        assert max(get_shape_size(found.model, found.shape)) <= choices.max_side_px
    said = {str(each.values["value"]) for each in found.ignored}
    for name, value in (("model", own.model), ("sampler", own.sampler)):
        if value is not None:
            assert (found.chosen_by.get(name) is Origin.MEMBER) == (value not in said), name
    if not found.ignored and own == MemberPreferences() and channel == ChannelDefaults() and not choices.default_aspect:
        assert not found.chosen_by

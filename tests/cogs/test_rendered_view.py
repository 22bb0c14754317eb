"""The view that holds the components of a message answers all that discord.py asks of a view it sends."""

from __future__ import annotations

import inspect
import re

from discord import abc, channel, http, interactions, message, state, threads
from discord.webhook import async_

from cogs.common.rendering import Rendered

SENDING = (abc, async_, channel, http, interactions, message, state, threads)


def test_discord_py_asks_nothing_else_of_a_view() -> None:
    """It has none of a view's items, so what it inherits would look for what is not there."""
    asked = {name for module in SENDING for name in re.findall(r"\bview\.(\w+)", inspect.getsource(module))}
    assert {"to_components", "is_finished"} <= asked, "the control"
    assert asked - {"__class__"} <= vars(Rendered).keys()

"""What a member asked for in a server, by day."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.dialect import get_context
from api.web.access import name_with
from api.web.charts import NUM_DAYS, build_table, count_steps, describe_sum, draw
from api.web.pages import get_web, render
from generation.policy.guild_settings import zone
from generation.policy.usage import list_last_days

router = APIRouter(include_in_schema=False)


@router.get("/usage")
async def show_usage(request: Request, server: int | None = None) -> HTMLResponse:
    """Show the pictures and the work of the last days of the member who asks, by that server's days."""
    web, rooms = get_web(request), get_context(request).rooms
    person = web.sessions.require(request).person
    servers = await web.access.list_servers(person)
    if server is None and not servers:
        return render(request, "usage.html", servers=[], server=None, charts=[], table=None)
    server = servers[0].id if server is None else server
    await web.access.require_member(person, server)
    timezone = (await rooms.guilds.fetch(server)).timezone
    days = list_last_days(NUM_DAYS, rooms.clock(), zone=zone(timezone))
    found = await rooms.usage.fetch_days(server, days, zone=zone(timezone), user_id=person.user_id)
    pictures, steps = [each.usage.num_images for each in found], [count_steps(each.usage) for each in found]
    charts = [
        draw("Pictures a day", describe_sum(pictures), days, pictures),
        draw("Standard steps a day", describe_sum(steps), days, steps),
    ]
    table = build_table(days, {"Pictures": pictures, "Standard steps": steps})
    shown = name_with(servers, server)
    return render(request, "usage.html", servers=shown, server=server, charts=charts, table=table, timezone=timezone)

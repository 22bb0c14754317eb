"""The commands of `fleet` and their options. A command imports what it needs when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.execution import PLAIN, load_settings, run_async, run_guarded
from cli.output import Json, show

fleet_app = typer.Typer(**PLAIN, help="Workers on other machines: docs/fleet.md.")
_FIREWALLED = typer.Option(
    "--behind-firewall", help="This machine has a public address, and a firewall closes Ray's ports there."
)


@fleet_app.command("head")
def fleet_head(
    on: Annotated[str, typer.Option("--on", metavar="ADDRESS", help="A private address of this machine.")],
    is_firewalled: Annotated[bool, _FIREWALLED] = False,
) -> None:
    """Begin a fleet, on the machine of the bot. It runs until it is stopped."""
    from cli import fleet

    settings = load_settings()
    run_guarded(lambda: fleet.run_ray(fleet.prepare_head(settings, on, is_firewalled=is_firewalled)))


@fleet_app.command("join")
def fleet_join(
    head: Annotated[str, typer.Argument(metavar="HEAD", help="The fleet's address, as `fleet head` says it.")],
    token_file: Annotated[Path, typer.Option(help="A copy of the file that `fleet head` made.")],
    on: Annotated[
        str | None, typer.Option("--on", metavar="ADDRESS", help="This machine's address; else that on the way.")
    ] = None,
    is_firewalled: Annotated[bool, _FIREWALLED] = False,
    has_no_cards: Annotated[
        bool,
        typer.Option("--no-cards", help="Offer nothing: for the bot's machine, where `fleet head` runs elsewhere."),
    ] = False,
) -> None:
    """Offer the graphics cards of this machine to a fleet, or its processor. It runs until it is stopped."""
    from cli import fleet

    settings = load_settings()

    def prepare() -> fleet.Start:
        return fleet.prepare_join(
            settings, head, token_file, on=on, is_firewalled=is_firewalled, has_cards=not has_no_cards
        )

    run_guarded(lambda: fleet.run_ray(prepare()))


@fleet_app.command("status")
def fleet_status(as_json: Json = False) -> None:
    """Show every member: its version, card, models and clock, and what it lacks. Exit status 0 if all can work."""
    from msgspec import to_builtins

    from cli import fleet
    from cli.fleet_table import describe
    from generation.fleet.version import find_version

    settings = load_settings()
    report = run_async(fleet.ask(settings, "status"))
    status = describe(report, find_version())
    show({"report": to_builtins(report), "concerns": status.concerns}, status.lines)
    raise typer.Exit(1 if status.concerns else 0)


@fleet_app.command("drain")
def fleet_drain(
    name: Annotated[str, typer.Argument(help="A member, or a machine for all of its members.")],
    undo: Annotated[bool, typer.Option("--undo", help="Have it work again.")] = False,
    as_json: Json = False,
) -> None:
    """Let a member end what it paints and take nothing new, before its machine is stopped."""
    from cli import fleet

    settings = load_settings()
    meant = run_async(fleet.drain(settings, name, undo=undo))
    show({"members": meant, "is_draining": not undo}, fleet.describe_drain(meant, undo=undo))

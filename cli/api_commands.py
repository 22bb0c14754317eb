"""`api` and `token`: the API without Discord, and its keys."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.execution import PLAIN, load_settings, run_async
from cli.output import Json, show

token_app = typer.Typer(**PLAIN, help="Keys of the API for its operator. In a server, members make theirs by /token.")
_Name = Annotated[str, typer.Option(help="What you call the key.")]


def api_command(
    host: Annotated[str | None, typer.Option(help="Where it listens; else ATELIER_API_HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Else ATELIER_API_PORT, else 8791.")] = None,
) -> None:
    """Serve the API without Discord, until told to stop."""
    chosen = {"api_host": host, "api_port": None if port is None else str(port)}
    settings = load_settings(is_service=True, starts_worker=True, **chosen)
    from cli.serve_api import serve_api_alone  # takes a second, in which the worker imports torch

    run_async(serve_api_alone(settings))


@token_app.command("create")
def token_create(name: _Name, as_json: Json = False) -> None:
    """Make a key and print it, once. Only its hash is kept."""
    from cli import tokens

    key = run_async(tokens.create(load_settings(), name))
    show({"name": name, "key": key}, [key])


@token_app.command("list")
def token_list(as_json: Json = False) -> None:
    """Name the keys that were made here."""
    from cli import tokens

    keys = run_async(tokens.list_all(load_settings()))
    show([tokens.list_facts(each) for each in keys], map(tokens.describe, keys) if keys else ["There are no keys."])


@token_app.command("revoke")
def token_revoke(name: _Name, as_json: Json = False) -> None:
    """End a key."""
    from cli import tokens

    run_async(tokens.revoke(load_settings(), name))
    show({"name": name}, [f"{name} opens nothing any more."])

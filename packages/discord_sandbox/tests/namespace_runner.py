"""The sandbox as discord.com, and an unchanged bot, in namespaces where nothing but loopback exists. A program.

`unshare --map-root-user --net --mount python namespace_runner.py FOLDER VARIABLE SCENARIOS PROGRAM...` starts the bot
as PROGRAM, with the token in the environment variable VARIABLE and nothing else of ours. Discord's names lead to
127.0.0.1 by /etc/hosts, and the certificate `FOLDER/cert.pem` is trusted because `SSL_CERT_FILE` names it. SCENARIOS is
`sample` for those of the sample bot, `imagine` for a bot that answers `/imagine` with a picture.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from discord_sandbox import Sandbox, ScriptedUser
from discord_sandbox.tls_names import NAMES

_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1
Scenario = Callable[[Sandbox, ScriptedUser], Awaitable[None]]


def shut_in(folder: Path) -> None:
    """Bring loopback up, lead Discord's names to it, and make sure that nothing else can be reached."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        request = fcntl.ioctl(anything, _GET_FLAGS, struct.pack("16sH14x", b"lo", 0))
        (flags,) = struct.unpack("16xH14x", request)
        fcntl.ioctl(anything, _SET_FLAGS, struct.pack("16sH14x", b"lo", flags | _UP))
        try:
            anything.connect(("192.0.2.1", 443))
        except OSError:
            pass
        else:
            raise AssertionError("there is a way out of this namespace")
    hosts = folder / "hosts"
    hosts.write_text("".join(f"127.0.0.1 {name}\n" for name in sorted(NAMES | {"localhost"})))
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)


async def play(folder: Path, variable: str, program: Sequence[str], scenarios: Sequence[Scenario]) -> None:
    """Every scenario against the program, and no broken rule."""
    certificate = folder / "cert.pem"
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate, folder / "key.pem")
    async with Sandbox(tls=ours, port=443) as server:
        guild = server.add_guild("Guild")
        ada = server.act_as(guild.add_member("ada"), guild.add_channel("general"))
        told = {"SSL_CERT_FILE": str(certificate), variable: server.token}
        bot = await asyncio.create_subprocess_exec(*program, env=os.environ | told)
        try:
            await server.wait_until_ready()
            for scenario in scenarios:
                await scenario(server, ada)
        finally:
            bot.terminate()
            await bot.wait()
        assert not server.violations, server.violations


async def paints(server: Sandbox, ada: ScriptedUser) -> None:
    """Any bot with /imagine: a picture arrives."""
    asked = await ada.slash("imagine", prompt="a red circle on a blue background", steps=2)
    await server.wait_for(
        lambda: (message := asked.original_message) and any(a.filename.endswith("1.png") for a in message.attachments),
        timeout_s=Sandbox.patience_s,
    )


def main() -> None:
    folder, variable, chosen, *program = Path(sys.argv[1]), *sys.argv[2:]
    shut_in(folder)
    if chosen == "imagine":
        scenarios: Sequence[Scenario] = (paints,)
    else:
        from scenarios import SCENARIOS

        scenarios = SCENARIOS
    Sandbox.ack_deadline_s, Sandbox.patience_s = 60.0, 900.0  # it may be a busy machine
    asyncio.run(play(folder, variable, program, scenarios))


if __name__ == "__main__":
    main()

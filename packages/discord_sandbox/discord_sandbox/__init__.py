"""Discord on loopback: REST v10, gateway, CDN, and a page on which a person plays the client.

It knows nothing of any particular bot. `docs/sandbox.md` lists its fidelity point by point.
"""

from discord_sandbox.actor import Actor
from discord_sandbox.guilds import Channel, Guild, Member, Message
from discord_sandbox.interactions import Interaction
from discord_sandbox.journal import Violation, first_lines
from discord_sandbox.message import Attachment, Upload
from discord_sandbox.options import Refused
from discord_sandbox.permissions import Permission
from discord_sandbox.server import Sandbox
from discord_sandbox.users import Role, User

__all__ = [
    "Actor",
    "Attachment",
    "Channel",
    "Guild",
    "Interaction",
    "Member",
    "Message",
    "Permission",
    "Refused",
    "Role",
    "Sandbox",
    "Upload",
    "User",
    "Violation",
    "first_lines",
]

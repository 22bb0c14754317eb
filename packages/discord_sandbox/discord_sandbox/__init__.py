"""Discord on loopback: REST v10, gateway, CDN, and a page on which a person plays the client.

It knows nothing of any particular bot. `docs/fidelity.md` lists its fidelity point by point.
"""

from discord_sandbox.command_options import ActionRefusedError
from discord_sandbox.guilds import Channel, Guild, Member, Message
from discord_sandbox.interactions import Interaction
from discord_sandbox.journal import Violation, format_violations
from discord_sandbox.message_content import Attachment, Upload
from discord_sandbox.permissions import Permission
from discord_sandbox.scripted_user import ScriptedUser
from discord_sandbox.server import Sandbox
from discord_sandbox.users import Role, User

__version__ = "0.1.0"

__all__ = [
    "ActionRefusedError",
    "Attachment",
    "Channel",
    "Guild",
    "Interaction",
    "Member",
    "Message",
    "Permission",
    "Role",
    "Sandbox",
    "ScriptedUser",
    "Upload",
    "User",
    "Violation",
    "format_violations",
]

"""Discord on loopback: REST v10, gateway, CDN, and a page on which a person plays the client.

It knows nothing of any particular bot. `docs/sandbox.md` lists its fidelity point by point.
"""

from sandbox.actor import Actor
from sandbox.interactions import Interaction
from sandbox.journal import Violation, first_lines
from sandbox.message import Attachment, Message, Upload
from sandbox.options import Refused
from sandbox.people import Member, Role, User
from sandbox.permissions import Permission
from sandbox.places import Channel, Guild
from sandbox.server import Sandbox

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

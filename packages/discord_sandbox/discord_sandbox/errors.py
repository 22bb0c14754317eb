"""Discord's refusals: the HTTP status, the numeric code and the sentence of each.

Source: https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
"""

from __future__ import annotations

from typing import Any


class DiscordError(Exception):
    """A request that Discord turns down.

    `is_fault` says whether a correct bot could have known better: then it is also a violation.
    """

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        errors: dict[str, Any] | None = None,
        is_fault: bool = False,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors
        self.is_fault = is_fault

    def payload(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        body: dict[str, Any] = {"message": self.message, "code": self.code}
        if self.errors:
            body["errors"] = self.errors
        return body


class InvalidFormBodyError(DiscordError):
    """50035 Invalid Form Body: something in the request breaks a limit; `where` is its path."""

    def __init__(self, where: str, code: str, message: str) -> None:
        self.where = where
        self.detail = message
        super().__init__(400, 50035, "Invalid Form Body", errors=_nest(where, code, message), is_fault=True)

    def __str__(self) -> str:
        return f"50035 at {self.where or 'the body'}: {self.detail}"


def _nest(where: str, code: str, message: str) -> dict[str, Any]:
    tree: dict[str, Any] = {"_errors": [{"code": code, "message": message}]}
    for key in reversed([part for part in where.split(".") if part]):
        tree = {key: tree}
    return tree


def unauthorized() -> DiscordError:
    return DiscordError(401, 0, "401: Unauthorized")


def not_found() -> DiscordError:
    return DiscordError(404, 0, "404: Not Found", is_fault=True)


def unknown_channel() -> DiscordError:
    return DiscordError(404, 10003, "Unknown Channel")


def unknown_guild() -> DiscordError:
    return DiscordError(404, 10004, "Unknown Guild")


def unknown_member() -> DiscordError:
    return DiscordError(404, 10007, "Unknown Member")


def unknown_message() -> DiscordError:
    return DiscordError(404, 10008, "Unknown Message")


def unknown_role() -> DiscordError:
    return DiscordError(404, 10011, "Unknown Role")


def unknown_user() -> DiscordError:
    return DiscordError(404, 10013, "Unknown User")


def unknown_webhook() -> DiscordError:
    return DiscordError(404, 10015, "Unknown Webhook")


def unknown_interaction(*, is_fault: bool = True) -> DiscordError:
    return DiscordError(404, 10062, "Unknown interaction", is_fault=is_fault)


def unknown_command() -> DiscordError:
    return DiscordError(404, 10063, "Unknown application command")


def too_many_commands(limit: int) -> DiscordError:
    message = f"Maximum number of application commands reached ({limit})."
    return DiscordError(400, 30032, message, is_fault=True)


def too_large(*, is_fault: bool = True) -> DiscordError:
    return DiscordError(413, 40005, "Request entity too large", is_fault=is_fault)


def already_acknowledged(*, is_fault: bool = True) -> DiscordError:
    return DiscordError(400, 40060, "Interaction has already been acknowledged.", is_fault=is_fault)


def missing_access() -> DiscordError:
    return DiscordError(403, 50001, "Missing Access")


def not_your_message() -> DiscordError:
    return DiscordError(403, 50005, "Cannot edit a message authored by another user", is_fault=True)


def empty_message() -> DiscordError:
    return DiscordError(400, 50006, "Cannot send an empty message", is_fault=True)


def cannot_message_user() -> DiscordError:
    return DiscordError(403, 50007, "Cannot send messages to this user")


def missing_permissions() -> DiscordError:
    return DiscordError(403, 50013, "Missing Permissions")


def invalid_webhook_token() -> DiscordError:
    return DiscordError(401, 50027, "Invalid Webhook Token")


def thread_archived() -> DiscordError:
    return DiscordError(400, 50083, "Thread is archived")


def thread_locked() -> DiscordError:
    return DiscordError(400, 160005, "Thread is locked")


def cannot_reply() -> DiscordError:
    return DiscordError(400, 160002, "Cannot reply without permission to read message history")


def bad_json() -> DiscordError:
    message = "The request body contains invalid JSON."
    return DiscordError(400, 50109, message, is_fault=True)

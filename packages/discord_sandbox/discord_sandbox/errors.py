"""Discord's errors: the HTTP status, the JSON error code and the message of each.

Source: https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
"""

from __future__ import annotations

from typing import Any


class DiscordError(Exception):
    """A request that Discord turns down.

    `is_fault` says whether a correct bot could have known better: then it is also a violation.
    """

    status: int
    code: int
    message: str
    is_fault = False

    def __init__(self, *, errors: dict[str, Any] | None = None, is_fault: bool | None = None) -> None:
        super().__init__(f"{self.status} {self.code}: {self.message}")
        self.errors = errors
        if is_fault is not None:
            self.is_fault = is_fault

    def build_payload(self) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        body: dict[str, Any] = {"message": self.message, "code": self.code}
        if self.errors:
            body["errors"] = self.errors
        return body


class InvalidFormBodyError(DiscordError):
    """Something in the request breaks a limit; `where` is its path."""

    status, code, message, is_fault = 400, 50035, "Invalid Form Body", True

    def __init__(self, where: str, code: str, message: str) -> None:
        self.where = where
        self.detail = message
        super().__init__(errors=_nest(where, code, message))

    def __str__(self) -> str:
        return f"50035 at {self.where or 'the body'}: {self.detail}"


def _nest(where: str, code: str, message: str) -> dict[str, Any]:
    """Return the error inside one dictionary for each part of its path."""
    tree: dict[str, Any] = {"_errors": [{"code": code, "message": message}]}
    for key in reversed([part for part in where.split(".") if part]):
        tree = {key: tree}
    return tree


class UnauthorizedError(DiscordError):
    status, code, message = 401, 0, "401: Unauthorized"


class UnknownRouteError(DiscordError):
    status, code, message, is_fault = 404, 0, "404: Not Found", True


class UnknownChannelError(DiscordError):
    status, code, message = 404, 10003, "Unknown Channel"


class UnknownGuildError(DiscordError):
    status, code, message = 404, 10004, "Unknown Guild"


class UnknownMemberError(DiscordError):
    status, code, message = 404, 10007, "Unknown Member"


class UnknownMessageError(DiscordError):
    status, code, message = 404, 10008, "Unknown Message"


class UnknownRoleError(DiscordError):
    status, code, message = 404, 10011, "Unknown Role"


class UnknownUserError(DiscordError):
    status, code, message = 404, 10013, "Unknown User"


class UnknownWebhookError(DiscordError):
    status, code, message = 404, 10015, "Unknown Webhook"


class UnknownInteractionError(DiscordError):
    status, code, message, is_fault = 404, 10062, "Unknown interaction", True


class UnknownCommandError(DiscordError):
    status, code, message = 404, 10063, "Unknown application command"


class NonTextChannelError(DiscordError):
    status, code, message = 400, 50008, "Cannot send messages in a non-text channel"


class TagRequiredError(DiscordError):
    status, code, message = 400, 40067, "A tag is required to create a forum post in this channel"


class TooManyCommandsError(DiscordError):
    status, code, is_fault = 400, 30032, True

    def __init__(self, limit: int) -> None:
        self.message = f"Maximum number of application commands reached ({limit})."
        super().__init__()


class RequestTooLargeError(DiscordError):
    status, code, message, is_fault = 413, 40005, "Request entity too large", True


class AlreadyAcknowledgedError(DiscordError):
    status, code, message, is_fault = 400, 40060, "Interaction has already been acknowledged.", True


class TooManyFollowUpsError(DiscordError):
    status, code, is_fault = 400, 40094, True
    message = "This interaction has reached the maximum number of follow-up messages"


class MissingAccessError(DiscordError):
    status, code, message = 403, 50001, "Missing Access"


class NotMessageAuthorError(DiscordError):
    status, code, message, is_fault = 403, 50005, "Cannot edit a message authored by another user", True


class EmptyMessageError(DiscordError):
    status, code, message, is_fault = 400, 50006, "Cannot send an empty message", True


class CannotMessageUserError(DiscordError):
    status, code, message = 403, 50007, "Cannot send messages to this user"


class MissingPermissionsError(DiscordError):
    status, code, message = 403, 50013, "Missing Permissions"


class InvalidWebhookTokenError(DiscordError):
    status, code, message = 401, 50027, "Invalid Webhook Token"


class ThreadArchivedError(DiscordError):
    status, code, message = 400, 50083, "Thread is archived"


class ThreadLockedError(DiscordError):
    status, code, message = 400, 160005, "Thread is locked"


class CannotReplyError(DiscordError):
    status, code, message = 400, 160002, "Cannot reply without permission to read message history"


class InjectedError(DiscordError):
    """An error of any code, for faults that are injected on request."""

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__()


class InvalidJsonError(DiscordError):
    status, code, message, is_fault = 400, 50109, "The request body contains invalid JSON.", True

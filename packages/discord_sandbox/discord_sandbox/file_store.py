"""The CDN's store: files that were uploaded, and links to them that are signed and expire.

Source: https://discord.com/developers/docs/reference#signed-attachment-cdn-urls
"""

from __future__ import annotations

import hashlib
import hmac
import mimetypes
import re
import secrets

from discord_sandbox.clock import Clock
from discord_sandbox.image_size import read_image_size
from discord_sandbox.message_content import Attachment, Upload

LINK_LIFETIME_S = 24 * 3600.0
_UNSAFE = re.compile(r"[^\w.\-]+", re.ASCII)


class FileStore:
    """Keeps uploaded files in memory. `url` is the CDN's own address, known once the server listens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._by_url: dict[str, Attachment] = {}
        self._gone: set[str] = set()
        self.url = ""

    def keep(self, upload: Upload, attachment_id: int, channel_id: int, *, is_ephemeral: bool = False) -> Attachment:
        """Store an upload under the name Discord would give it."""
        folder = "ephemeral-attachments" if is_ephemeral else "attachments"
        filename = _UNSAFE.sub("_", upload.filename).lstrip("_") or "unknown"
        size = read_image_size(upload.data)
        guessed = upload.content_type or mimetypes.guess_type(filename)[0] or "application/octet-stream"
        attachment = Attachment(
            attachment_id,
            filename,
            upload.data,
            guessed,
            f"{self.url}/{folder}/{channel_id}/{attachment_id}/{filename}",
            size[0] if size else None,
            size[1] if size else None,
            upload.description,
            is_ephemeral,
        )
        self._by_url[attachment.url] = attachment
        return attachment

    def sign(self, url: str) -> str:
        """Return `url` with a fresh signature if it is ours; any other as it is."""
        if not self.url or not url.startswith(self.url + "/"):
            return url
        bare = strip_signature(url)
        # By the hour, as Discord's own links stay the same for a while: a client may keep what it loaded.
        hour = int(self._clock.now()) // 3600 * 3600
        expires = format(hour + int(LINK_LIFETIME_S), "x")
        issued = format(hour, "x")
        return f"{bare}?ex={expires}&is={issued}&hm={self._compute_mac(bare, expires, issued)}&"

    def open_link(self, url: str, query: dict[str, str]) -> Attachment | None:
        """Return the file behind a signed link, or None if it is unknown, wrongly signed or expired."""
        expires, issued = query.get("ex", ""), query.get("is", "")
        if not hmac.compare_digest(self._compute_mac(url, expires, issued), query.get("hm", "")):
            return None
        if int(expires, 16) < self._clock.now():
            return None
        return self._by_url.get(url)

    def find(self, url: str) -> Attachment | None:
        """Return the file behind a link of this server, signed or not, or None."""
        return self._by_url.get(strip_signature(url))

    def forget(self, attachment: Attachment) -> None:
        """Lose a file: its links answer 404 from now on."""
        self._by_url.pop(attachment.url, None)
        self._gone.add(attachment.url)

    def is_gone(self, url: str) -> bool:
        """Return whether a link led to a file that was lost since."""
        return strip_signature(url) in self._gone

    def list_all(self) -> list[Attachment]:
        """Return every file that is kept, oldest first."""
        return list(self._by_url.values())

    def _compute_mac(self, url: str, expires: str, issued: str) -> str:
        return hmac.new(self._key, f"{url}\n{expires}\n{issued}".encode(), hashlib.sha256).hexdigest()


def strip_signature(url: str) -> str:
    """Return a link without its signature."""
    return url.partition("?")[0]

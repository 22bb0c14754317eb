"""Signs a picture as it leaves."""

from __future__ import annotations

import logging

from generation.images.c2pa import Credentials, SigningError
from generation.images.iptc import get_source_type
from generation.requests.spec import ImageSpec

log = logging.getLogger(__name__)


def sign(data: bytes, image_id: str, spec: ImageSpec, credentials: Credentials | None) -> bytes:
    """Return the file as it leaves. One that cannot be signed leaves all the same: it still says what it is in its
    XMP. Blocks."""
    if credentials is None:
        return data
    try:
        return credentials.sign(data, get_source_type(spec))
    except SigningError as failed:
        log.error("image=%s action=not-signed reason=%s", image_id, failed)
        return data

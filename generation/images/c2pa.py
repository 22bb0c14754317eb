"""Content credentials (C2PA): a signed statement in the file of who made it and how. The extra `c2pa`.

A file is signed last, when it leaves. What is kept on disk is never signed: a signature holds a time and chance, and
the same picture must be the same file (docs/decisions/0017). https://spec.c2pa.org/
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.util import find_spec
from typing import Any

from generation.errors import ConfigurationError
from generation.images.iptc import SourceType, full_name
from generation.program import format_install

ROOM_BYTES = 64 * 1024
"""What a signature may add to a file: a chain of certificates is most of it."""
_OFFLINE = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_after_sign": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
}
"""No thumbnail: it would show a picture that is behind a spoiler. And nothing here goes to the network."""


class CredentialState(StrEnum):
    """What the signature in a file is worth."""

    VALID = "valid"  # the file is as the holder of that certificate signed it
    TRUSTED = "trusted"  # and the certificate leads to one that is trusted here
    INVALID = "invalid"  # changed since, or wrongly signed
    UNREAD = "unread"  # there is one, and the extra that reads it is not installed


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCredentials:
    """What a file's content credentials say. `signed_by`: the name in the certificate."""

    state: CredentialState
    signed_by: str | None = None
    source_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The operator's key and certificates (the signer's first, its issuers after it), as PEM text."""

    certificates: str
    key: str = field(repr=False)
    algorithm: str = "es256"

    def check(self) -> None:
        """Sign a trial picture. Raise `ConfigurationError` if that fails, or the extra is not installed."""
        if not is_installed():
            problem = "ATELIER_C2PA_KEY is set, but what signs with it is not installed."
            raise ConfigurationError(problem=problem, remedy=f"Install it: {format_install('c2pa')}.")
        from generation.images.codec import encode_png

        try:
            signed = self.sign(encode_png(bytes(3 * 16 * 16), (16, 16)), SourceType.GENERATED)
        except SigningError as failed:
            problem = f"ATELIER_C2PA_CERTIFICATES and ATELIER_C2PA_KEY cannot sign: {failed}."
            remedy = "They belong together, are PEM text, and the certificate is one for signing that has not run out."
            raise ConfigurationError(problem=problem, remedy=remedy) from None
        read = read_credentials(signed)
        if read is None or read.state is CredentialState.INVALID:
            problem = "What ATELIER_C2PA_KEY signs does not hold against ATELIER_C2PA_CERTIFICATES."
            raise ConfigurationError(problem=problem, remedy="Check that they belong together.")

    def sign(self, data: bytes, source: SourceType) -> bytes:
        """Return a PNG or JPEG with its credentials: another file, the same pixels. Blocks.

        Raise `SigningError` on failure.
        """
        import c2pa

        signed = io.BytesIO()
        try:
            info = c2pa.C2paSignerInfo(self.algorithm.encode(), self.certificates.encode(), self.key.encode(), None)
            with (
                c2pa.Signer.from_info(info) as signer,
                c2pa.Context(c2pa.Settings.from_dict(_OFFLINE)) as context,
                c2pa.Builder(_build_manifest(source), context=context) as builder,
            ):
                builder.sign(signer, _get_mime(data), io.BytesIO(data), signed)
        except (c2pa.C2paError, ValueError, OSError) as error:
            raise SigningError(str(error)[:200]) from None
        return signed.getvalue()


class SigningError(Exception):
    """Signing failed; the text is the library's reason."""


def load_credentials(certificates: str | None, key: str | None, algorithm: str) -> Credentials | None:
    """Return what posted pictures are signed with, None if neither is set. Raise `ConfigurationError` if only one
    is."""
    if certificates is None and key is None:
        return None
    if certificates is None or key is None:
        problem = "ATELIER_C2PA_CERTIFICATES and ATELIER_C2PA_KEY belong together, and one of them is missing."
        raise ConfigurationError(problem=problem, remedy="Set the other too, or neither.")
    return Credentials(certificates=certificates, key=key, algorithm=algorithm)


def is_installed() -> bool:
    return find_spec("c2pa") is not None


def read_credentials(data: bytes) -> ReadCredentials | None:
    """Return the content credentials of a PNG, JPEG or WebP; None if it has none."""
    if b"c2pa" not in data:
        return None
    if not is_installed():
        return ReadCredentials(state=CredentialState.UNREAD)
    import c2pa

    try:
        with (
            c2pa.Context(c2pa.Settings.from_dict(_OFFLINE)) as context,
            c2pa.Reader(_get_mime(data), io.BytesIO(data), context=context) as reader,
        ):
            manifest = reader.get_active_manifest() or {}
            state = CredentialState(str(reader.get_validation_state()).lower())
    except c2pa.C2paError as error:
        return None if "ManifestNotFound" in type(error).__name__ else ReadCredentials(state=CredentialState.INVALID)
    return ReadCredentials(
        state=state, signed_by=manifest.get("signature_info", {}).get("common_name"), source_type=_get_source(manifest)
    )


def _build_manifest(source: SourceType) -> dict[str, Any]:
    action = {"action": "c2pa.created", "digitalSourceType": full_name(source)}
    return {
        "claim_generator_info": [{"name": "Atelier"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }


def _get_source(manifest: dict[str, Any]) -> str | None:
    for assertion in manifest.get("assertions", ()):
        for action in assertion.get("data", {}).get("actions", ()):
            if named := action.get("digitalSourceType"):
                return str(named).rpartition("/")[2]
    return None


def _get_mime(data: bytes) -> str:
    if data.startswith(b"\x89PNG"):
        return "image/png"
    return "image/webp" if data[8:12] == b"WEBP" else "image/jpeg"

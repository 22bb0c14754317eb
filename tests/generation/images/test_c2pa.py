"""Content credentials: signed last, read back, invalid after a change of a byte, and no part of the picture."""

from __future__ import annotations

import io
import json

import pytest

pytest.importorskip("c2pa", reason="the extra atelier[c2pa] is not installed: content credentials are not tested")

import c2pa

import generation.images.c2pa
from generation.errors import ConfigurationError
from generation.images.c2pa import Credentials, CredentialState, SigningError, read_credentials
from generation.images.codec import decode_png, shrink
from generation.images.iptc import SourceType
from generation.images.metadata import read_recipe, sign_png
from generation.images.verify import read_disclosure
from generation.requests.edits import StartImage
from tests.certificates import make_chain
from tests.generation.images.test_iptc import PIXELS, a_recipe


@pytest.fixture(scope="module")
def credentials() -> Credentials:
    chain = make_chain()
    return Credentials(certificates=chain.certificates, key=chain.key)


def test_a_signed_picture_is_the_same_picture_and_says_who_signed_it(credentials: Credentials) -> None:
    credentials.check()
    png = sign_png(PIXELS, (64, 64), a_recipe())
    signed = credentials.sign(png, SourceType.GENERATED)
    assert signed != png
    assert decode_png(signed) == decode_png(png), "what is replayed is compared by its pixels"
    assert read_recipe(signed) == a_recipe()
    disclosure = read_disclosure(signed)
    assert (disclosure.credentials, disclosure.signed_by) == (CredentialState.VALID, "Harbour Painters")
    assert (disclosure.source_type, disclosure.is_intact, disclosure.is_sound) == (SourceType.GENERATED, True, True)
    assert "thumbnail" not in c2pa.Reader("image/png", io.BytesIO(signed)).json()
    assert credentials.sign(png, SourceType.GENERATED) != signed, "time and chance are in it: so never on disk"


def test_a_jpeg_is_signed_after_it_was_made_smaller(credentials: Credentials) -> None:
    recipe = a_recipe(StartImage(sha256="0" * 64, strength=0.5))
    jpeg = shrink(sign_png(PIXELS, (64, 64), recipe), max_bytes=10_000)
    disclosure = read_disclosure(credentials.sign(jpeg, SourceType.COMPOSITE))
    assert disclosure.credentials is CredentialState.VALID
    assert disclosure.source_type == SourceType.COMPOSITE


def test_a_byte_changed_afterwards_is_seen(credentials: Credentials) -> None:
    signed = bytearray(credentials.sign(sign_png(PIXELS, (64, 64), a_recipe()), SourceType.GENERATED))
    place = signed.index(b"atelier") + 20
    signed[place] ^= 1
    read = read_credentials(bytes(signed))
    assert read is not None
    assert read.state is CredentialState.INVALID
    assert read_credentials(sign_png(PIXELS, (64, 64), a_recipe())) is None


def test_an_unusable_certificate_is_found_at_the_start(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    others, old = make_chain(), make_chain(days_left=-1)
    for wrong in (
        Credentials(certificates=credentials.certificates, key=others.key),
        Credentials(certificates="nonsense", key=credentials.key),
        Credentials(certificates=credentials.certificates, key="nonsense"),
        Credentials(certificates=old.certificates, key=old.key),
        Credentials(certificates=credentials.certificates, key=credentials.key, algorithm="ed25519"),
    ):
        with pytest.raises(ConfigurationError, match="ATELIER_C2PA"):
            wrong.check()
    with pytest.raises(SigningError):
        credentials.sign(b"no picture", SourceType.GENERATED)
    signed = credentials.sign(sign_png(PIXELS, (64, 64), a_recipe()), SourceType.GENERATED)
    monkeypatch.setattr(generation.images.c2pa, "is_installed", lambda: False)
    with pytest.raises(ConfigurationError, match=r"pip install -c constraints.txt -e '\.\[c2pa\]'"):
        credentials.check()
    read = read_credentials(signed)
    assert read is not None
    assert read.state is CredentialState.UNREAD
    json.dumps(read.state)

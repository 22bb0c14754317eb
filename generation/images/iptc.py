"""Marks a picture as made by a machine, in IPTC's terms, as XMP in the file.

https://cv.iptc.org/newscodes/digitalsourcetype/ : made from words alone, or composed with an existing picture.
"""

from __future__ import annotations

import re
from enum import StrEnum

from generation.requests.recipe import Recipe
from generation.requests.spec import ImageSpec

_BASE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_TYPE = re.compile(rf"{re.escape(_BASE)}(\w+)")
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
    "<Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>"
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


class SourceType(StrEnum):
    """IPTC's names."""

    GENERATED = "trainedAlgorithmicMedia"
    COMPOSITE = "compositeWithTrainedAlgorithmicMedia"


def get_source_type(spec: ImageSpec) -> SourceType:
    """Return whether a picture of this spec is made from words alone, or composed with an existing picture."""
    is_composed = spec.start is not None or spec.controls or spec.references or spec.image_prompt
    return SourceType.COMPOSITE if is_composed else SourceType.GENERATED


def full_name(source: SourceType) -> str:
    """Return the address that IPTC gives the term."""
    return _BASE + source


GENERATED_XMP = _XMP.format(source=full_name(SourceType.GENERATED))
"""Of a file that shows only pictures made from words alone."""


def build_xmp(recipe: Recipe) -> str:
    """Return the XMP packet for a picture of this recipe. The same recipe gives the same bytes."""
    return _XMP.format(source=full_name(get_source_type(recipe.spec)))


def parse_source_type(xmp: bytes | str) -> str | None:
    """Return the source type that an XMP packet names, ours or any other; None if it names none."""
    named = _TYPE.search(xmp.decode(errors="replace") if isinstance(xmp, bytes) else xmp)
    return named[1] if named else None

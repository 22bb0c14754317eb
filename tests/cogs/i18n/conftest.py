"""The texts of the program, read once for all tests of this folder."""

from __future__ import annotations

import pytest
from babel.messages.catalog import Catalog

from cogs.i18n import extract


@pytest.fixture(scope="session")
def template() -> Catalog:
    """Return every present text."""
    return extract.extract_texts()

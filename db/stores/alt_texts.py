"""What members say of their pictures for those who cannot see them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import update
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import ImageRow


class AltTextStore:
    """Writes alt texts; they are read with their images."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, alts: Mapping[str, str]) -> None:
        """Keep the alt texts of some images, by their ids. An empty one stands for the prompt."""
        await self._database.write(lambda session: _set(session, alts))


def _set(session: Session, alts: Mapping[str, str]) -> None:
    for image_id, alt in alts.items():
        changing = update(ImageRow).where(ImageRow.id == image_id).values(alt=alt or None)
        session.execute(changing.execution_options(synchronize_session=False))

"""Files put on disk for one request, until it is known whether it was accepted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from generation.errors import AtelierError
from generation.images.store import ImageFiles, PendingFile


class Loans:
    """What is put here stays only if its request is accepted."""

    def __init__(self, files: ImageFiles) -> None:
        self._files = files
        self._loans: list[PendingFile] = []

    async def keep(self, data: bytes) -> str:
        """Put a file; return its SHA-256."""
        loan = await asyncio.to_thread(self._files.lend, data)
        self._loans.append(loan)
        return loan.sha256

    async def end(self, *, is_kept: bool) -> None:
        for loan in self._loans:
            await asyncio.to_thread(self._files.end_loan, loan, is_kept=is_kept)


@asynccontextmanager
async def hold_loans(loans: Loans) -> AsyncIterator[Loans]:
    """Hold the files of a request until it is accepted; take them away again if it is refused."""
    is_kept = True  # what ends otherwise may have been accepted: the sweep looks at it
    try:
        yield loans
    except AtelierError:
        is_kept = False
        raise
    finally:
        await loans.end(is_kept=is_kept)

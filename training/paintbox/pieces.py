"""Connected pieces of a mask, in numpy alone (no image library to depend on)."""

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def grow(mask: Mask) -> Mask:
    """Return the mask and its eight neighbours."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    grown = np.zeros_like(mask)
    for dy in range(3):
        for dx in range(3):
            grown |= padded[dy : dy + height, dx : dx + width]
    return grown


def label(mask: Mask) -> tuple[npt.NDArray[np.intp], int]:
    """Return a mark for every pixel, from 1 by 4-connected piece (0 where the mask is empty), and the count."""
    parents: list[int] = [0]
    marks = np.zeros(mask.shape, np.intp)

    def root(mark: int) -> int:
        while parents[mark] != mark:
            mark = parents[mark]
        return mark

    for y in range(mask.shape[0]):
        for start, stop in _runs(mask[y]):
            above = {root(int(mark)) for mark in np.unique(marks[y - 1, start:stop]) if mark} if y else set()
            if above:
                mark = min(above)
                for other in above:
                    parents[other] = mark
            else:
                mark = len(parents)
                parents.append(mark)
            marks[y, start:stop] = mark
    roots = np.array([root(mark) for mark in range(len(parents))])
    kept, numbered = np.unique(roots, return_inverse=True)
    return numbered[marks].astype(np.intp), len(kept) - 1


def _runs(row: Mask) -> list[tuple[int, int]]:
    """Return (start, stop) of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def fill_holes(mask: Mask) -> Mask:
    """Return the mask with everything filled that the outside cannot reach."""
    outside, _ = label(np.pad(~mask, 1, constant_values=True))
    filled: Mask = outside[1:-1, 1:-1] != outside[0, 0]
    return filled

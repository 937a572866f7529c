"""Which LDEV ids a name may have.

The array cannot find an LDEV by its label, and takes the label only after the LDEV has been made. So the id is chosen here: the
name's digest picks a window of 256 ids (a CU) and an order within it. That makes a name's LDEV findable in one request, lets the
array settle a race of two processes for one name (the second one's id is taken), and keeps a deleted LDEV's id from being given
to the next volume at once.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence

WINDOW = 256


def windows(name: str, first: int, last: int) -> Iterator[Sequence[int]]:
    """Yield the windows of a range of LDEV ids in the order in which a name tries them, each as ids in order of preference."""
    digest = hashlib.sha256(name.encode()).digest()
    starts = range(first, last + 1, WINDOW)
    for at in _order(len(starts), digest[:8], digest[8:16]):
        window = range(starts[at], min(starts[at] + WINDOW, last + 1))
        yield [window[place] for place in _order(len(window), digest[16:24], digest[24:])]


def _order(count: int, offset: bytes, stride: bytes) -> list[int]:
    """Return the numbers below `count` in an order that two of a digest's pieces choose."""
    start = int.from_bytes(offset) % count
    step = 1 + int.from_bytes(stride) % count
    while math.gcd(step, count) != 1:
        step += 1
    return [(start + turn * step) % count for turn in range(count)]

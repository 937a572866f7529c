"""Where volumes were last seen on the array."""

from __future__ import annotations

import threading
from collections import OrderedDict

from blockdrivers.model import VolumeRef

_KEPT = 4096


class References:
    """Where volumes were last seen: a bounded memory that only ever saves a look-up, never decides anything."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._seen: OrderedDict[str, VolumeRef] = OrderedDict()

    def of(self, name: str) -> VolumeRef:
        """Return where the volume was last seen; without id and WWN where it was not."""
        with self._guard:
            return self._seen.get(name) or VolumeRef(name)

    def remember(self, reference: VolumeRef) -> None:
        """Keep where a volume was seen just now."""
        with self._guard:
            self._seen[reference.name] = reference
            self._seen.move_to_end(reference.name)
            if len(self._seen) > _KEPT:
                self._seen.popitem(last=False)

    def forget(self, name: str) -> None:
        """Drop one volume."""
        with self._guard:
            self._seen.pop(name, None)

    def clear(self) -> None:
        """Drop everything: an answer contradicted something that was remembered."""
        with self._guard:
            self._seen.clear()

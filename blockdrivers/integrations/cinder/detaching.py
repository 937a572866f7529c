"""Whether a host still needs a volume when one of its servers lets it go.

Cinder tells a driver neither which attachment ends nor that one has ended before the driver has answered: two that end at one moment
find each other in its database. So detachments of one volume from one host take turns, and one that could be the last waits until
those that were answered before it have left the database.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Set
from dataclasses import dataclass, field

from cinder import context, objects

_ENDING_SECONDS = 10.0
"""For how long Cinder may take to forget an attachment that a driver has ended."""
_POLL_SECONDS = 0.1
_CONNECTED = frozenset({"attached", "attaching"})
"""States of attachments whose host has been told the connection: it is used, or is about to be."""


@dataclass
class _Ending:
    """What was answered for one volume on one host.

    Attributes:
        turn: held by the detachment that is being decided.
        seen: ids of the attachments that were there at the answers.
        answers: how many of them were ended.
        until: when those that are there still are not expected to go any more.
    """

    turn: threading.Lock = field(default_factory=threading.Lock)
    seen: set[str] = field(default_factory=set)
    answers: int = 0
    until: float = 0.0

    def expected(self, there: Set[str]) -> int:
        """Return how many of the attachments that are there were ended already."""
        return 0 if time.monotonic() > self.until else max(0, self.answers - len(self.seen - there))

    def answered(self, there: Set[str]) -> None:
        """Remember that one of these attachments was ended."""
        if time.monotonic() > self.until:
            self.seen, self.answers = set(), 0
        self.seen |= there
        self.answers += 1
        self.until = time.monotonic() + _ENDING_SECONDS


class Detachments:
    """The detachments that this service has answered."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._endings: dict[tuple[str, str], _Ending] = {}

    def is_last(self, volume_id: str, host: str) -> bool:
        """Tell whether the attachment that ends now is the last one that needs a volume on a host.

        A volume is taken away only where Cinder's database has no other connected attachment; where one stays there longer than it
        should after its end, the answer is no.
        """
        ending = self._ending(volume_id, host)
        with ending.turn:
            while len(there := connected(volume_id, host)) > 1:
                if len(there) - ending.expected(there) > 1:
                    ending.answered(there)
                    return False
                time.sleep(_POLL_SECONDS)
            with self._guard:
                self._endings.pop((volume_id, host), None)
            return True

    def _ending(self, volume_id: str, host: str) -> _Ending:
        now = time.monotonic()
        with self._guard:
            for key, ending in list(self._endings.items()):
                if ending.answers and now > ending.until and not ending.turn.locked():
                    del self._endings[key]
            return self._endings.setdefault((volume_id, host), _Ending())


def connected(volume_id: str, host: str) -> frozenset[str]:
    """Return the ids of a volume's attachments that a host has, or is about to have, a use for."""
    found = objects.VolumeAttachmentList.get_all_by_volume_id(context.get_admin_context(), volume_id)
    return frozenset(one.id for one in found if one.attached_host == host and one.attach_status in _CONNECTED)

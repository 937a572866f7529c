"""What an array declares that it cannot do is refused, or done one at a time, before anything is sent."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from blockdrivers import checks
from blockdrivers.backend import Backend
from blockdrivers.driver import Capabilities, ChapRules
from blockdrivers.errors import InUse, InvalidRequest
from blockdrivers.model import Chap, Dependant, GiB, Host, Protocol, Volume

VOLUME = Volume("1", "bdvl-v", GiB, "pool", None, thin=True, volume_id="v")
ABLE = Capabilities(protocols=frozenset({Protocol.ISCSI}), chap=ChapRules(free_username=False))
IQN = "iqn.1994-05.org.example:a"


def test_a_volume_with_snapshots_does_not_grow_where_the_array_cannot():
    with_snapshots = replace(VOLUME, dependants=frozenset({Dependant.SNAPSHOT}))
    checks.growth(with_snapshots, 2 * GiB, ABLE)
    unable = replace(ABLE, extend_with_snapshots=False)
    checks.growth(VOLUME, 2 * GiB, unable)
    checks.growth(with_snapshots, GiB, unable)
    with pytest.raises(InUse, match="snapshots"):
        checks.growth(with_snapshots, 2 * GiB, unable)


def test_a_chap_user_name_that_cannot_be_chosen_is_the_initiators():
    checks.host(Host("a", iqn=IQN, chap=Chap(IQN, "s" * 12)), Protocol.ISCSI, ABLE)
    with pytest.raises(InvalidRequest, match="user name"):
        checks.host(Host("a", iqn=IQN, chap=Chap("somebody", "s" * 12)), Protocol.ISCSI, ABLE)


class Adding:
    """An array that is told how much to add, and is slow to answer."""

    capabilities = replace(ABLE, relative_extend=True)

    def __init__(self):
        self.size = GiB
        self.guard = threading.Lock()

    def look_up_volume(self, name):
        return replace(VOLUME, name=name, size=self.size)

    def extend_volume(self, volume, size):
        time.sleep(0.02)
        with self.guard:
            self.size += size - volume.size

    def close(self): ...


def test_two_extends_at_once_add_once():
    array = Adding()
    with Backend(array, "adding") as backend, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: backend.extend_volume("v", 3 * GiB), range(4)))
    assert array.size == 3 * GiB

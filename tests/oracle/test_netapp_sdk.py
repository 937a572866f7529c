"""The netapp-ontap package, the vendor's own client, unmodified, works against the simulated ONTAP."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockdrivers.plugins import find_model
from conformance.simulation.opening import open_array
from tests.oracle.scripts import seen_by

SCRIPT = Path(__file__).with_name("sdk_netapp.py")


@pytest.mark.parametrize("release", [None, (9, 16, 1)], ids=["at once", "as jobs"])
def test_it_reads_and_writes(release):
    with open_array(find_model("FAS2750"), "FAS2750", data=False, release=release) as array:
        seen = seen_by(SCRIPT, array.ready)
    assert seen["nodes"] == ["FAS2750", "FAS2750"]
    assert seen["svms"] == [array.ready["vserver"]]
    assert seen["volumes"] == dict.fromkeys(array.ready["pools"], "flexvol")
    assert seen["hydrated"] == ["/vol/pool_a/sdk-6", 7 * 2**30, 12]
    assert seen["paged"] == [f"/vol/pool_a/sdk-{number}" for number in range(7)]
    assert seen["sizes"] == [1, 2, 3, 4, 5, 6, 7]
    assert seen["igroup"] == ["iqn.1994-05.org.example:sdk"]
    assert seen["maps"] == [["/vol/pool_a/sdk-6", 1]]
    assert seen["policy"] == 500
    assert seen["let in"] == {
        "listed": [[1, ["192.0.2.9", "198.51.100.0/24"], ["never"]], [2, ["192.0.2.0/24"], ["sys"]]],
        "under": ["sdk", "default"],
        "left": [1],
        "policies": ["default"],
    }
    assert seen["absent"] == [404, "5374875"]
    assert seen["left"] == 0

"""The netapp-ontap package, the vendor's own client, unmodified, works against the simulated ONTAP."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from blockdrivers.plugins import find_model
from conformance.simulation.opening import open_array

SCRIPT = Path(__file__).with_name("sdk_netapp.py")


@pytest.mark.parametrize("release", [None, (9, 16, 1)], ids=["at once", "as jobs"])
def test_it_reads_and_writes(release):
    python = Path(os.environ["BLOCKDRIVERS_CINDER_VENV"]) / "bin" / "python"
    with open_array(find_model("FAS2750"), "FAS2750", data=False, release=release) as array:
        command = [str(python), str(SCRIPT), json.dumps(array.ready)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr[-4000:]
    seen = json.loads(ended.stdout)
    assert seen["nodes"] == ["FAS2750", "FAS2750"]
    assert seen["svms"] == [array.ready["vserver"]]
    assert seen["volumes"] == dict.fromkeys(array.ready["pools"], "flexvol")
    assert seen["hydrated"] == ["/vol/pool_a/sdk-6", 7 * 2**30, 12]
    assert seen["paged"] == [f"/vol/pool_a/sdk-{number}" for number in range(7)]
    assert seen["sizes"] == [1, 2, 3, 4, 5, 6, 7]
    assert seen["igroup"] == ["iqn.1994-05.org.example:sdk"]
    assert seen["maps"] == [["/vol/pool_a/sdk-6", 1]]
    assert seen["policy"] == 500
    assert seen["absent"] == [404, "5374875"]
    assert seen["left"] == 0

"""A simulated Spectrum Virtualize or InStorage MCS array, reached over SSH or REST."""

from __future__ import annotations

import requests

from blockdrivers.model import Host
from tests.integration import labs
from vendors.svc.driver import open_ibm, open_inspur
from vendors.svc.options import IbmOptions, InspurOptions

FLASHSYSTEM, V3700, G2, G5 = "FlashSystem 9100", "Storwize V3700", "AS5500 G2", "AS5500 G5"
MODELS = (FLASHSYSTEM, V3700, G2, G5)
IQN = "iqn.1994-05.org.example:cmp01"
ISCSI = Host("cmp01", iqn=IQN)
FC = Host("cmp02", wwpns=("21000024ff000001", "21000024ff000002"))
POOL, OTHER, REDUCING = "pool_a", "pool_b", "pool_d"


class Lab(labs.Lab):
    """One simulated array and the ways to open it."""

    def open(self, *, rest=False, **more):
        ready = self.array.ready
        options = self.reached()
        if rest:
            ways = [ready["rest"], ready["rest2"]]
            options = {name: ways[0][name] for name in ("username", "password")}
            options |= {"interface": "rest", "addresses": [way["url"] for way in ways], "tls": {"ca_file": ways[0]["ca_file"]}}
        ibm = self.array.family.profile.words.vendor == "IBM"
        kind, opener = (IbmOptions, open_ibm) if ibm else (InspurOptions, open_inspur)
        driver = opener(kind.model_validate(options | {"copy_rate": 100} | more), "lab")
        return self.backend(driver)

    def fault(self, kind, **more):
        url = f"{self.array.ready['control']}/faults"
        requests.post(url, json={"kind": kind, **more}, timeout=5).raise_for_status()

    def operations(self, step):
        self.array.counters.clear()
        step()
        counted = self.array.counters.as_dict()["by_operation"]
        return {name: count for name, count in counted.items() if name != "login"}


def kinds(started):
    """Return what each volume's copies are: pool, thin, compressed, deduplicated."""
    return {
        volume["name"].partition("-")[2]: [
            (copy["pool"], copy["thin"], copy["compressed"], copy["deduplicated"]) for copy in volume["copies"]
        ]
        for volume in started.state("volumes")
    }

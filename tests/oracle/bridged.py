"""Runs the suite on a simulated array that is driven by the cinder package's own driver, through the bridge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from blockdrivers.config import open_backend
from blockdrivers.integrations.cinderbridge import ADAPTER
from blockdrivers.model import GiB, Protocol
from blockdrivers.plugins import find_model
from conformance import runner
from conformance.cli.certify import TEST_HOSTS
from conformance.outcome import Outcome
from conformance.simulation.opening import BACKEND, open_array
from conformance.target import Target
from tests.oracle.families import Family
from tests.oracle.scripts import python


@contextmanager
def bridged(family: Family, protocol: Protocol, folder: Path) -> Iterator[Target]:
    """Serve the family's model and describe it as a target whose backend is the Cinder driver."""
    fabric = [wwpn for host in TEST_HOSTS for wwpn in host.wwpns]
    with open_array(find_model(family.model), family.model, fabric=fabric, **family.simulator) as array:
        settings = family.section(array.ready, protocol, folder)
        passwords = {name: str(value) for name, value in settings.items() if "password" in name}
        _write_conf(folder / "cinder.conf", {name: value for name, value in settings.items() if name not in passwords})
        options = {
            "driver": family.classes[protocol],
            "config": str(folder / "cinder.conf"),
            "python": str(python()),
            "records": str(folder / "records"),
            "overrides": passwords,
            "extra_specs": dict(family.extra_specs),
            "model": family.model,
        }
        if family.node is not None:
            options["node"] = dict(family.node)
        entry = {"adapter": ADAPTER, "timeouts": {"default": 60, "copy": 120}, "options": options}
        config = folder / "backends.yaml"
        config.write_text(yaml.safe_dump({"backends": {BACKEND: entry}}))
        pools = array.ready["pools"]
        if family.keeps_hosts or (family.from_lun_0 and protocol is Protocol.ISCSI):
            _make_known(config, protocol, pools[0], stays=family.from_lun_0)
        yield Target(
            config=config,
            backend=BACKEND,
            protocol=protocol,
            pool=pools[0],
            other_pool=pools[1] if family.pools > 1 else None,
            hosts=TEST_HOSTS,
            control=array.ready["control"],
            model=family.model,
        )


def _make_known(config: Path, protocol: Protocol, pool: str, *, stays: bool) -> None:
    with open_backend(config) as backend:
        backend.create_volume("first", GiB, pool)
        for host in TEST_HOSTS:
            backend.export("first", host, protocol)
        if not stays:
            backend.delete_volume("first", force=True)


def _write_conf(path: Path, settings: Mapping[str, object]) -> None:
    default = [f"{name.removeprefix('DEFAULT.')} = {value}" for name, value in settings.items() if name.startswith("DEFAULT.")]
    own = [f"{name} = {value}" for name, value in settings.items() if not name.startswith("DEFAULT.")]
    path.write_text("\n".join(["[DEFAULT]", *default, "[lab]", "volume_backend_name = lab", *own, ""]))


def graded(family: Family, protocol: Protocol, folder: Path, select: str) -> tuple[Outcome, ...]:
    """Run the selected checks and return their outcomes."""
    with bridged(family, protocol, folder) as target:
        return runner.run(target, select=select)

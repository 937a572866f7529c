"""What the array tells of itself and of its pools, and what it cannot tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockdrivers.driver import Capabilities
from blockdrivers.errors import InvalidRequest, NotSupported
from blockdrivers.model import GiB, Health, Protocol
from tests.integration.toyou.lab import POOL


def test_facts(started, backend):
    facts = backend.system()
    assert (facts.vendor, facts.model, facts.health) == ("TOYOU", "ACS5000", Health.NORMAL)
    assert facts.serial.startswith("TY")
    assert facts.firmware.count(".") == 3
    ports = backend.ports()
    assert [port.address for port in ports if port.protocol is Protocol.FC] == started.array.ready["fc"]
    assert [(port.address, port.iqn) for port in ports if port.protocol is Protocol.ISCSI] == [
        (portal["portal"], portal["iqn"]) for portal in started.array.ready["iscsi"]
    ]
    assert backend.licences() == {}
    assert list(backend.initiators()) == []


def test_what_the_array_cannot_tell_is_documented(backend):
    declared = backend.capabilities
    ordinary = Capabilities(protocols=declared.protocols)
    limits = {
        "list_objects", "find_snapshots", "list_exports", "host_objects", "tells_wwn", "serial_clones", "revert_to_any", "thin_pools"
    }  # fmt: skip
    differing = {name for name in limits if getattr(declared, name) != getattr(ordinary, name)}
    assert differing == limits
    for page in ("adapters/toyou.md", "semantics.md"):
        text = (Path(__file__).parents[3] / "docs" / page).read_text(encoding="utf-8")
        assert {name for name in differing if f"`{name}" not in text} == set()


def test_a_lost_controller_is_degraded(started, backend):
    controllers = started.tell("ls_controller")
    started.saying("ls_controller", [controllers[0], controllers[1] | {"status": "offline"}])
    assert backend.system().health is Health.DEGRADED


def test_pools_are_those_of_the_configuration(started):
    backend = started.open(pools=["pool_b", "nowhere"])
    assert [pool.name for pool in backend.pools()] == ["pool_b"]
    with pytest.raises(InvalidRequest, match=r"'pool_a' is none of the configured ones: pool_b, nowhere"):
        backend.create_volume("v", GiB, POOL)
    with pytest.raises(InvalidRequest, match="'nowhere'"):
        backend.create_volume("v", GiB, "nowhere")
    assert started.volumes() == {}


def test_provisioning_follows_the_pool(lab):
    backend = lab(thick_pools=["pool_b"]).open()
    assert backend.create_volume("a", GiB, "pool_a").thin
    assert not backend.create_volume("b", GiB, "pool_b").thin
    assert not backend.get_volume("b").thin
    assert not backend.clone_volume("c", "a", pool="pool_b").thin
    with pytest.raises(NotSupported, match="thin volumes in the pool 'pool_b'"):
        backend.create_volume("d", GiB, "pool_b", thin=True)

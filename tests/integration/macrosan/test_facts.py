"""What the array tells of itself, what it cannot tell, and what the interface cannot do."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from benchmarks.macrosan import POOL
from blockdrivers.driver import Capabilities
from blockdrivers.errors import NotSupported
from blockdrivers.model import GiB, Health, Protocol, Qos


def test_facts(started, backend):
    facts = backend.system()
    assert (facts.vendor, facts.model, facts.firmware, facts.health) == ("MacroSAN", "unknown", "unknown", Health.NORMAL)
    assert facts.serial == started.tell("GET", "device")
    assert facts.details == {"SP1": "double", "SP2": "double"}
    assert backend.licences() == {}
    ports = backend.ports()
    assert [port.address for port in ports if port.protocol is Protocol.FC] == started.array.ready["fc"]
    assert {port.controller for port in ports} == {"SP1", "SP2"}
    assert {initiator.address for initiator in backend.initiators()} == set(started.array.family._fabric)


def test_what_the_array_cannot_tell_is_documented(backend):
    declared = backend.capabilities
    ordinary = Capabilities(protocols=declared.protocols)
    limits = {"list_objects", "find_snapshots", "find_in_volume", "list_exports", "host_objects", "tells_wwn", "serial_clones"}
    limits |= {"relative_extend"}
    differing = {field.name for field in fields(Capabilities) if getattr(declared, field.name) != getattr(ordinary, field.name)}
    assert differing == limits | {"thick", "manage", "max_lun", "notes"}
    for page in ("adapters/macrosan.md", "semantics.md"):
        text = (Path(__file__).parents[3] / "docs" / page).read_text(encoding="utf-8")
        assert {name for name in limits if f"`{name}" not in text} == set()


def test_what_the_interface_cannot_do_is_said_at_once(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.array.counters.clear()
    for refused in (
        backend.list_volumes,
        backend.list_snapshots,
        lambda: backend.get_snapshot("s"),
        lambda: backend.list_exports("v"),
        lambda: backend.revert_volume("v", "s"),
        lambda: backend.set_qos("v", Qos(total_iops=100)),
        lambda: backend.retype_volume("v", pool="pool_b"),
        lambda: backend.create_group_snapshot({"v": "s"}),
        backend.sweep,
    ):
        with pytest.raises(NotSupported):
            refused()
    assert started.sent() == []

"""Every operation that changes an array, in a form that can be cut off, disturbed and repeated anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from blockdrivers.model import Export, GiB
from conformance.suite import ids
from conformance.suite.limits import limits
from conformance.suite.needs import unmet
from conformance.suite.nursery import Call
from conformance.suite.rig import Rig

_IDENTITY = {"id", "wwn", "source_id", "qos_id", "allocated_bytes"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on a small, prepared array.

    Attributes:
        name: what a check's detail calls it.
        prepare: brings the array to the state before; the same ids each time.
        call: the operation itself.
        needs: as those of a check.
        always: returns what must be so before, during and after the operation, however it is cut off.
    """

    name: str
    prepare: Callable[[Rig], None]
    call: Callable[[Rig], Call]
    needs: tuple[str, ...] = ()
    always: Callable[[Rig], object] = lambda rig: None

    def __str__(self) -> str:
        return self.name


def operations() -> tuple[Operation, ...]:
    """Return every changing operation of `Backend`, in its variants."""
    return (*_volumes(), *_copies(), *_exports(), *_optional())


def possible(rig: Rig, chosen: Iterable[Operation]) -> list[Operation]:
    """Return the operations that this array and run have."""
    return [operation for operation in chosen if unmet(operation.needs, rig.run) is None]


def essence(result: Any) -> Any:
    """Return a result without what differs between two objects made alike."""
    if is_dataclass(result):
        return {field.name: essence(getattr(result, field.name)) for field in fields(result) if field.name not in _IDENTITY}
    if isinstance(result, list | tuple):
        return [essence(item) for item in result]
    return result


def _volumes() -> tuple[Operation, ...]:
    return (
        Operation("create_volume", _nothing, lambda rig: Call("create_volume", (rig.id("v"), 2 * GiB, rig.pool))),
        Operation(
            "create_volume with QoS",
            _nothing,
            lambda rig: Call("create_volume", (rig.id("v"), GiB, rig.pool), {"qos": limits(rig.capabilities, 2)}),
            ("qos",),
        ),
        Operation("extend_volume", _one_volume, lambda rig: Call("extend_volume", (rig.id("v"), 2 * GiB))),
        Operation(
            "extend_volume, exported",
            _exported,
            lambda rig: Call("extend_volume", (rig.id("v"), 2 * GiB)),
            ("online_extend",),
            _exports_of,
        ),
        Operation("delete_volume", _one_volume, lambda rig: Call("delete_volume", (rig.id("v"),))),
        Operation(
            "delete_volume with force, exported",
            _exported,
            lambda rig: Call("delete_volume", (rig.id("v"),), {"force": True}),
        ),
        Operation("delete_volume with QoS", _with_qos, lambda rig: Call("delete_volume", (rig.id("v"),)), ("qos",)),
    )


def _copies() -> tuple[Operation, ...]:
    return (
        Operation("create_snapshot", _one_volume, lambda rig: Call("create_snapshot", (rig.id("s"), rig.id("v")))),
        Operation(
            "delete_snapshot", _one_snapshot, lambda rig: Call("delete_snapshot", (rig.id("s"),), {"of_volume": rig.id("v")})
        ),
        Operation("clone_volume", _one_volume, lambda rig: Call("clone_volume", (rig.id("c"), rig.id("v")))),
        Operation(
            "clone_volume, larger", _one_volume, lambda rig: Call("clone_volume", (rig.id("c"), rig.id("v")), {"size": 3 * GiB})
        ),
        Operation(
            "create_volume_from_snapshot",
            _one_snapshot,
            lambda rig: Call(
                "create_volume_from_snapshot", (rig.id("c"), rig.id("s")), {"pool": rig.pool, "of_volume": rig.id("v")}
            ),
        ),
        Operation(
            "create_group_snapshot",
            _two_volumes,
            lambda rig: Call("create_group_snapshot", ({rig.id("v"): rig.id("s1"), rig.id("w"): rig.id("s2")},)),
            ("group_snapshots",),
        ),
        Operation(
            "revert_volume",
            _one_snapshot,
            lambda rig: Call("revert_volume", (rig.id("v"), rig.id("s"))),
            ("revert",),
            _the_snapshot,
        ),
    )


def _exports() -> tuple[Operation, ...]:
    return (
        Operation("export, first of a host", _one_volume, _export),
        Operation("export, known host", _other_exported, _export),
        Operation(
            "export with CHAP",
            _one_volume,
            lambda rig: Call("export", (rig.id("v"), rig.with_chap("Ct-Secret-0123"), rig.protocol)),
            ("chap", "iscsi"),
        ),
        Operation(
            "export of a snapshot",
            _one_snapshot,
            lambda rig: Call("export", (rig.id("s"), rig.host, rig.protocol), {"snapshot": True}),
            ("export_snapshots", "san"),
        ),
        Operation("unexport", _exported, lambda rig: Call("unexport", (rig.id("v"), rig.host, rig.protocol))),
        Operation(
            "unexport, one of two hosts",
            _exported_twice,
            lambda rig: Call("unexport", (rig.id("v"), rig.host, rig.protocol)),
            ("two_hosts", "multi_attach"),
            lambda rig: [export for export in _exports_of(rig) if export.host == rig.other_host.name],
        ),
        Operation("remove_host", _host_without_exports, lambda rig: Call("remove_host", (rig.host,)), ("host_objects",)),
    )


def _optional() -> tuple[Operation, ...]:
    return (
        Operation("set_qos", _one_volume, lambda rig: Call("set_qos", (rig.id("v"), limits(rig.capabilities, 2))), ("qos",)),
        Operation(
            "set_qos, changed", _with_qos, lambda rig: Call("set_qos", (rig.id("v"), limits(rig.capabilities, 3))), ("qos",)
        ),
        Operation("set_qos, taken away", _with_qos, lambda rig: Call("set_qos", (rig.id("v"), None)), ("qos",)),
        Operation(
            "retype_volume",
            _one_volume,
            lambda rig: Call("retype_volume", (rig.id("v"),), {"pool": rig.other_pool}),
            ("migrate", "two_pools"),
            lambda rig: rig.backend.get_volume(rig.id("v")).wwn,
        ),
        Operation(
            "manage_volume", _foreign_volume, lambda rig: Call("manage_volume", (rig.id("v"), _given_up(rig))), ("manage",)
        ),
        Operation(
            "unmanage_volume", _one_volume, lambda rig: Call("unmanage_volume", (rig.id("v"), _given_up(rig))), ("manage",)
        ),
    )


def _nothing(rig: Rig) -> None:
    del rig


def _one_volume(rig: Rig) -> None:
    rig.volume()


def _two_volumes(rig: Rig) -> None:
    rig.volume("v")
    rig.volume("w")


def _one_snapshot(rig: Rig) -> None:
    rig.volume()
    rig.snapshot("s")


def _the_snapshot(rig: Rig) -> object:
    return rig.backend.get_snapshot(rig.id("s")) if rig.capabilities.find_snapshots else None


def _exports_of(rig: Rig) -> Sequence[Export]:
    return rig.backend.list_exports(rig.id("v")) if rig.capabilities.list_exports else ()


def _exported(rig: Rig) -> None:
    rig.volume()
    rig.export()


def _exported_twice(rig: Rig) -> None:
    _exported(rig)
    rig.export("v", rig.other_host)


def _other_exported(rig: Rig) -> None:
    rig.volume()
    rig.volume("w")
    rig.export("w")


def _host_without_exports(rig: Rig) -> None:
    _exported(rig)
    rig.backend.unexport(rig.id("v"), rig.host, rig.protocol)


def _with_qos(rig: Rig) -> None:
    rig.volume("v", qos=limits(rig.capabilities, 1))


def _foreign_volume(rig: Rig) -> None:
    rig.volume("w")
    rig.backend.unmanage_volume(rig.id("w"), _given_up(rig))


def _given_up(rig: Rig) -> str:
    return rig.foreign(ids.FOREIGN + "op")


def _export(rig: Rig) -> Call:
    return Call("export", (rig.id("v"), rig.host, rig.protocol))

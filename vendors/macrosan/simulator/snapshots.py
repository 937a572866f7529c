"""Snapshot resources, points and views. Source: protocol sheet, section 3.3.

A LUN has one resource, which takes space of its pool; with it, and snapshots enabled, points can be made. A view is a copy of a point
that can be mapped and copied from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.simulation.engine import Array, Snapshot, Volume
from vendors.macrosan.simulator import wire
from vendors.macrosan.simulator.luns import RESOURCE, Luns
from vendors.macrosan.simulator.pools import Pools
from vendors.macrosan.simulator.wire import Arguments, Refusal, Routes

_LONGEST_NAME = 31


@dataclass(slots=True)
class Resource:
    """What snapshots of a LUN need."""

    volume: Volume
    """The space that it takes."""
    enabled: bool = False
    autoexpand: bool = False
    last_point: int = 0
    points: dict[int, Snapshot] = field(default_factory=dict)


@dataclass(slots=True)
class View:
    """What shows the bytes of a point."""

    name: str
    snapshot: Snapshot
    point: Snapshot


class Snapshots:
    """Everything about snapshots."""

    def __init__(self, array: Array, pools: Pools, luns: Luns) -> None:
        self._array = array
        self._pools = pools
        self._luns = luns
        self._resources: dict[str, Resource] = {}
        self._views: dict[str, View] = {}
        self._view_in_use: Callable[[View], bool] = lambda _: False
        self._resource_in_use: Callable[[Volume], bool] = lambda _: False

    def use(self, view_in_use: Callable[[View], bool], resource_in_use: Callable[[Volume], bool]) -> None:
        """Learn what may hang on a view, and on the resource of a LUN."""
        self._view_in_use = view_in_use
        self._resource_in_use = resource_in_use

    def routes(self) -> Routes:
        """Return the handlers."""
        return {
            ("GET", "snapshot_resource", ""): self._resource_name,
            ("POST", "snapshot_resource", ""): self._make_resource,
            ("PUT", "snapshot_resource", "autoexpand"): self._autoexpand,
            ("DELETE", "snapshot_resource", ""): self._delete_resource,
            ("GET", "snapshot", "enable"): lambda given: bool((found := self._of(given)) and found.enabled),
            ("PUT", "snapshot", "enable"): lambda given: self._enable(given, enabled=True),
            ("PUT", "snapshot", "disable"): lambda given: self._enable(given, enabled=False),
            ("POST", "snapshot_point", ""): self._make_point,
            ("GET", "snapshot_point", "point_id"): self._point_id,
            ("GET", "snapshot_point", "existence"): lambda given: wire.number(given, "pointid") in self._points(given),
            ("GET", "snapshot_point", "number"): lambda given: len(self._points(given)),
            ("PUT", "snapshot_point", "name"): self._rename_point,
            ("DELETE", "snapshot_point", ""): self._delete_point,
            ("POST", "snapshot_view", ""): self._make_view,
            ("DELETE", "snapshot_view", ""): self._delete_view,
        }

    def has_resource(self, volume: Volume) -> bool:
        """Tell whether a LUN has a resource."""
        return volume.id in self._resources

    def rename(self, old: str, new: str) -> bool:
        """Rename the resource of that name; False where there is none."""
        for resource in self._resources.values():
            if resource.volume.name == old:
                resource.volume.name = new
                return True
        return False

    def view(self, given: Arguments) -> View:
        """Return the view that is named, or refuse."""
        found = self._views.get(wire.text(given, "view_name"))
        if found is None:
            raise Refusal(wire.NOT_FOUND, "view does not exist")
        return found

    def view_by_name(self, name: str) -> View | None:
        """Return the view of that name."""
        return self._views.get(name)

    def state(self) -> list[Mapping[str, Any]]:
        """Return the points."""
        return [
            {"id": point.id, "pointid": number, "name": point.name, "lun": self._array.volumes[lun_id].name, "size": point.size}
            for lun_id, resource in self._resources.items()
            for number, point in resource.points.items()
        ]

    def resource_state(self) -> list[Mapping[str, Any]]:
        """Return the resources."""
        return [
            {
                "lun": self._array.volumes[lun_id].name,
                "size": resource.volume.size,
                "enabled": resource.enabled,
                "autoexpand": resource.autoexpand,
            }
            for lun_id, resource in self._resources.items()
        ]

    def view_state(self) -> list[Mapping[str, Any]]:
        """Return the views."""
        return [{"name": view.name, "point": view.point.name} for view in self._views.values()]

    # Resources

    def _of(self, given: Arguments) -> Resource | None:
        return self._resources.get(self._luns.find(given).id)

    def _needed(self, given: Arguments) -> Resource:
        found = self._of(given)
        if found is None:
            raise Refusal(wire.CONFLICT, "LUN has no snapshot resource")
        return found

    def _resource_name(self, given: Arguments) -> str | None:
        found = self._of(given)
        return found.volume.name if found else None

    def _make_resource(self, given: Arguments) -> bool:
        lun, size = self._luns.find(given), wire.size(given)
        if lun.id in self._resources:
            raise Refusal(wire.CONFLICT, "snapshot resource exists")
        shares = self._pools.room(lun.pool_id, wire.texts(given, "raids"), size)
        space = self._array.create_volume(f"SnapResource-{lun.wwn[-8:]}", lun.pool_id, size, thin=False)
        space.attributes[RESOURCE] = lun.id
        self._pools.take(space, shares)
        self._resources[lun.id] = Resource(space)
        return True

    def _autoexpand(self, given: Arguments) -> bool:
        self._needed(given).autoexpand = True
        return True

    def _delete_resource(self, given: Arguments) -> bool:
        """Remove a resource, and with it every point."""
        lun, found = self._luns.find(given), self._needed(given)
        if self._resource_in_use(lun) or any(view.point in found.points.values() for view in self._views.values()):
            raise Refusal(wire.CONFLICT, "snapshot resource is in use")
        if found.enabled:
            raise Refusal(wire.CONFLICT, "snapshots are enabled")
        for point in found.points.values():
            self._array.delete_snapshot(point)
        del self._resources[lun.id]
        self._pools.give_back(found.volume)
        self._array.delete_volume(found.volume)
        return True

    def _enable(self, given: Arguments, *, enabled: bool) -> bool:
        self._needed(given).enabled = enabled
        return True

    # Points

    def _points(self, given: Arguments) -> Mapping[int, Snapshot]:
        found = self._of(given)
        return found.points if found else {}

    def _by_name(self, given: Arguments, name: str) -> int | None:
        return next((number for number, point in self._points(given).items() if point.name == name), None)

    def _make_point(self, given: Arguments) -> bool:
        lun, name = self._luns.find(given), wire.name(given, "snapshot_name", _LONGEST_NAME)
        found = self._needed(given)
        if not found.enabled:
            raise Refusal(wire.CONFLICT, "snapshots are not enabled")
        if self._by_name(given, name) is not None:
            raise Refusal(wire.CONFLICT, "snapshot point exists")
        point = self._array.create_snapshot(name, lun)
        self._array.activate([point])
        found.last_point += 1
        found.points[found.last_point] = point
        return True

    def _point_id(self, given: Arguments) -> int:
        number = self._by_name(given, wire.text(given, "snapshot_name"))
        if number is None:
            raise Refusal(wire.NOT_FOUND, "snapshot point does not exist")
        return number

    def _point(self, given: Arguments) -> tuple[int, Snapshot]:
        number = wire.number(given, "pointid")
        point = self._points(given).get(number)
        if point is None:
            raise Refusal(wire.NOT_FOUND, "snapshot point does not exist")
        return number, point

    def _rename_point(self, given: Arguments) -> bool:
        _, point = self._point(given)
        name = wire.name(given, "name", _LONGEST_NAME)
        if self._by_name(given, name) is not None:
            raise Refusal(wire.CONFLICT, "snapshot point exists")
        point.name = name
        return True

    def _delete_point(self, given: Arguments) -> bool:
        number, point = self._point(given)
        if any(view.point is point for view in self._views.values()):
            raise Refusal(wire.CONFLICT, "snapshot point has a view")
        del self._needed(given).points[number]
        self._array.delete_snapshot(point)
        return True

    # Views

    def _make_view(self, given: Arguments) -> bool:
        name, (_, point) = wire.name(given, "view_name"), self._point(given)
        if name in self._views or self._luns.by_name(name) is not None:
            raise Refusal(wire.CONFLICT, "view exists")
        shown = self._array.copy_snapshot(name, point)
        shown.active = True
        self._views[name] = View(name, shown, point)
        return True

    def _delete_view(self, given: Arguments) -> bool:
        view = self.view(given)
        if self._view_in_use(view):
            raise Refusal(wire.CONFLICT, "view is in use")
        del self._views[view.name]
        self._array.delete_snapshot(view.snapshot)
        return True

"""Throttles: limits of volumes as objects of their own. Source: IBM sheet, section 3.8."""

from __future__ import annotations

from vendors.svc.simulator import codes
from vendors.svc.simulator.codes import Refusal
from vendors.svc.simulator.shell import Command, Created, Given, Pairs, Table, action, listing
from vendors.svc.simulator.state import State, Throttle

_IOPS = range(33554433)
_MEGABYTES = range(268435457)


class Throttles:
    """The throttles of an array."""

    def __init__(self, state: State) -> None:
        self._state = state

    def commands(self) -> dict[str, Command]:
        """Return the verbs; none where limits belong to volumes only."""
        if not self._state.profile.throttles:
            return {}
        return {
            "lsthrottle": listing(self._throttles),
            "mkthrottle": action(self._create, "type iops bandwidth vdisk name", most=0),
            "chthrottle": action(self._change, "iops bandwidth name"),
            "rmthrottle": action(self._remove),
        }

    def dump(self) -> list[dict[str, object]]:
        """Return the limits for the state dump."""
        volumes = self._state.array.volumes
        return [
            {"id": found.id, "volume": volumes[found.volume_id].name, "iops": found.iops, "megabytes": found.megabytes}
            for found in self._state.throttles.values()
        ]

    def _throttles(self, _: Given) -> Table:
        return Table([self._row(found) for found in self._state.throttles.values()])

    def _row(self, found: Throttle) -> Pairs:
        return [
            ("id", found.id),
            ("throttle_name", found.name),
            ("object_id", found.volume_id),
            ("object_name", self._state.array.volumes[found.volume_id].name),
            ("throttle_type", "vdisk"),
            ("IOPs_limit", "" if found.iops is None else found.iops),
            ("bandwidth_limit_MB", "" if found.megabytes is None else found.megabytes),
        ]

    def _create(self, given: Given) -> Created:
        given.choice("type", ("vdisk",))
        volume = self._state.volume(given.text("vdisk"))
        if self._state.throttle_of(volume) is not None:
            raise Refusal(codes.EXISTS)
        self._state.limit(volume, **self._limits(given))
        found = self._state.throttle_of(volume)
        if found is None:
            raise Refusal(codes.PARAMETER_MISSING)
        return Created(found.id, f"Throttle, id [{found.id}], successfully created.")

    def _limits(self, given: Given) -> dict[str, int | None]:
        found: dict[str, int | None] = {}
        if "iops" in given:
            found["iops"] = given.number("iops", among=_IOPS) or None
        if "bandwidth" in given:
            found["megabytes"] = given.number("bandwidth", among=_MEGABYTES) or None
        if not found:
            raise Refusal(codes.PARAMETER_MISSING)
        return found

    def _change(self, given: Given) -> None:
        found = self._throttle(given.object)
        self._state.limit(self._state.array.volumes[found.volume_id], **self._limits(given))

    def _remove(self, given: Given) -> None:
        del self._state.throttles[self._throttle(given.object).id]

    def _throttle(self, reference: str) -> Throttle:
        for found in self._state.throttles.values():
            if reference in {found.id, found.name}:
                return found
        raise Refusal(codes.GONE)

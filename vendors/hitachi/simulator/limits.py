"""QoS of LDEVs, and the Server Priority Manager. Source: protocol sheet, sections 3.12 and 3.13."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vendors.hitachi.simulator import codes, wire
from vendors.hitachi.simulator.codes import Failure, Refusal, not_there
from vendors.hitachi.simulator.jobs import Outcome
from vendors.hitachi.simulator.storage import Storage
from vendors.hitachi.simulator.wire import Object

_RANGES: Mapping[str, range] = {
    "upperIops": range(100, 2**31),
    "lowerIops": range(10, 2**31),
    "upperTransferRate": range(1, 2097152),
    "lowerTransferRate": range(1, 2097152),
    "responsePriority": range(1, 4),
    "upperAlertAllowableTime": range(1, 601),
    "lowerAlertAllowableTime": range(1, 601),
    "responseAlertAllowableTime": range(1, 601),
}
_ORDERED = (("upperIops", "lowerIops"), ("upperTransferRate", "lowerTransferRate"))
_ALERTS = {
    "upperAlertAllowableTime": ("upperIops", "upperTransferRate"),
    "lowerAlertAllowableTime": ("lowerIops", "lowerTransferRate"),
    "responseAlertAllowableTime": ("responsePriority",),
}


class Limits:
    """What LDEVs may do at most, or are promised at least."""

    def __init__(self, storage: Storage, *, qos: bool) -> None:
        self._storage = storage
        self._qos = qos
        self._priorities: dict[str, Object] = {}

    def reads(self) -> Mapping[str, Callable[..., Any]]:
        """Return the handlers of GET."""
        resource = "io-control-ldev-wwns-iscsis"
        return {
            resource: lambda query: [
                entry for entry in self._priorities.values() if query.get("ldevId") in {None, str(entry["ldevId"])}
            ],
            f"{resource}/{{id}}": lambda entry_id, _: self._asked(entry_id),
            **({"qos-monitor-ldevs/{id}": lambda ldev_id, _: self._monitor(ldev_id)} if self._qos else {}),
        }

    def changes(self) -> Mapping[tuple[str, str], Callable[..., Outcome]]:
        """Return the handlers of jobs."""
        resource = "io-control-ldev-wwns-iscsis"
        return {
            ("POST", resource): self._add,
            ("PATCH", f"{resource}/{{id}}"): self._change,
            ("DELETE", f"{resource}/{{id}}"): self._remove,
            **({("POST", "ldevs/{id}/actions/set-qos/invoke"): self._set} if self._qos else {}),
        }

    def _set(self, ldev_id: str, given: Object) -> Outcome:
        found = wire.parameters(given, *_RANGES)
        if len(found) != 1:
            raise Refusal(400, codes.BAD_COMBINATION, "parameters")
        ((key, _),) = found.items()
        value = wire.number(found, key)
        if value and value not in _RANGES[key]:
            raise Refusal(400, codes.OUT_OF_RANGE, key)
        number = wire.number({"ldevId": ldev_id}, "ldevId")
        self._storage.find(number)
        limits = dict(self._storage.qos.get(number, {}))
        if value:
            limits[key] = value
        else:
            limits.pop(key, None)
        self._check(limits)
        self._storage.qos[number] = limits
        if not limits:
            del self._storage.qos[number]
        return Outcome([f"ldevs/{ldev_id}"])

    @staticmethod
    def _check(limits: Mapping[str, int]) -> None:
        for upper, lower in _ORDERED:
            if upper in limits and lower in limits and limits[upper] <= limits[lower]:
                raise Failure(codes.LIMIT_ORDER)
        for alert, needed in _ALERTS.items():
            if alert in limits and not any(key in limits for key in needed):
                raise Failure(codes.LIMIT_ORDER)

    def _monitor(self, ldev_id: str) -> Object:
        number = wire.number({"ldevId": ldev_id}, "ldevId")
        if number not in self._storage.qos:
            raise Refusal(404, codes.NOT_THERE, "ldevId")
        counters = ("receivedCommands", "transferRateOfReceivedCommands", "iops", "transferRate", "responseTime")
        return {"ldevId": number, **dict.fromkeys(counters, 0), "monitorTime": "2026-01-05T08:00:00Z"}

    # Server Priority Manager

    def _asked(self, entry_id: str) -> Object:
        if entry_id not in self._priorities:
            raise Refusal(404, codes.NOT_THERE, "ioControlLdevWwnIscsiId")
        return self._priorities[entry_id]

    def _add(self, given: Object) -> Outcome:
        wire.only(given, "ldevId", "hostWwn", "iscsiName", "upperLimitForIops", "upperLimitForTransferRate", "priority")
        ldev_id = wire.number(given, "ldevId")
        if ("hostWwn" in given) == ("iscsiName" in given):
            raise Refusal(400, codes.BAD_COMBINATION, "hostWwn or iscsiName")
        initiator = wire.text(given, "hostWwn" if "hostWwn" in given else "iscsiName")
        self._storage.find(ldev_id)
        entry_id = f"{ldev_id},{initiator}"
        if entry_id in self._priorities:
            raise Failure(codes.INITIATOR_REGISTERED)
        self._priorities[entry_id] = {"ioControlLdevWwnIscsiId": entry_id, **given}
        return Outcome([f"io-control-ldev-wwns-iscsis/{entry_id}"])

    def _change(self, entry_id: str, given: Object) -> Outcome:
        wire.only(given, "upperLimitForIops", "upperLimitForTransferRate", "priority")
        if entry_id not in self._priorities:
            raise not_there("EX_ENOOBJ")
        self._priorities[entry_id] |= given
        return Outcome([f"io-control-ldev-wwns-iscsis/{entry_id}"])

    def _remove(self, entry_id: str, given: Object) -> Outcome:
        wire.only(given)
        if self._priorities.pop(entry_id, None) is None:
            raise not_there("EX_ENOOBJ")
        return Outcome([f"io-control-ldev-wwns-iscsis/{entry_id}"])

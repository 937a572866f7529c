"""What a Cinder volume type asks of the array: provisioning (an extra spec) and limits (QoS specs of the array's side)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cinder.volume import volume_types

from blockdrivers.driver import Capabilities
from blockdrivers.errors import InvalidRequest
from blockdrivers.model import QOS_KEYS, Qos

PREFIX = "blockdrivers"
PROVISIONING = f"{PREFIX}:provisioning"
_THIN = {"thin": True, "thick": False}
_ARRAY_SIDE = {"back-end", "both"}
_QOS = {f"{key}_sec" if key in {"total_iops", "read_iops", "write_iops"} else key: key for key in QOS_KEYS}
"""Cinder's names for limits (``total_iops_sec``, ``read_bytes_sec``, ...) -> ours; what only arrays have keeps our name."""


def thin(extra_specs: Mapping[str, str]) -> bool | None:
    """Return the provisioning that a type asks for; None leaves it to the array."""
    asked = extra_specs.get(PROVISIONING)
    if asked is None:
        return None
    if asked not in _THIN:
        raise InvalidRequest(f"{PROVISIONING} must be {' or '.join(_THIN)}; the volume type says {asked!r}.")
    return _THIN[asked]


def limits(type_id: str | None) -> Qos | None:
    """Return the limits that a volume type puts on the array's side; None where it puts none."""
    if type_id is None:
        return None
    specs = (volume_types.get_volume_type_qos_specs(type_id) or {}).get("qos_specs") or {}
    asked = _numbers(specs.get("specs") or {}) if specs.get("consumer") in _ARRAY_SIDE else {}
    return Qos(**asked) if asked else None


def _numbers(specs: Mapping[str, str]) -> dict[str, int]:
    if unknown := sorted(specs.keys() - _QOS.keys()):
        raise InvalidRequest(f"Arrays know no limit {', '.join(unknown)}; they know {', '.join(sorted(_QOS))}.")
    try:
        return {_QOS[key]: int(value) for key, value in specs.items()}
    except ValueError as error:
        raise InvalidRequest(f"A limit is a whole number; the QoS specs say {dict(specs)}.") from error


def describe(capabilities: Capabilities) -> dict[str, dict[str, Any]]:
    """Return the extra specs that this driver reads, as Cinder's capabilities API shows them."""
    able = [word for word, wanted in _THIN.items() if (capabilities.thin if wanted else capabilities.thick)]
    return {
        PROVISIONING: {
            "title": "Provisioning",
            "description": "Whether volumes take space as they are written (thin) or when they are made (thick).",
            "type": "string",
            "enum": able,
            "default": able[0],
        }
    }

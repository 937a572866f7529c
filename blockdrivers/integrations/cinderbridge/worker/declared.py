"""What a driver can do, as its class and its own statistics declare it; nothing is tried."""

from __future__ import annotations

from typing import Any

from cinder.volume import driver as base

_PROTOCOLS = {"iscsi": "iscsi", "fc": "fc", "fibre_channel": "fc", "fibre channel": "fc"}


def implements(driver: Any, method: str) -> bool:
    """Tell whether a class defines a method itself rather than inherit Cinder's stub of it."""
    owner = next((kind for kind in type(driver).__mro__ if method in vars(kind)), None)
    return owner is not None and owner.__module__ != base.__name__ and not owner.__module__.startswith("cinder.interface")


def pools(stats: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pools; a backend without is one pool of its own name."""
    found = stats.get("pools")
    return list(found) if found else [{"pool_name": stats.get("volume_backend_name") or "pool", **stats}]


def capabilities(driver: Any, stats: dict[str, Any]) -> dict[str, Any]:
    """Return what is declared, under the names that the other side has for it."""
    every = [{**stats, **pool} for pool in pools(stats)]
    return {
        "protocols": sorted({_PROTOCOLS[said] for said in _said(stats.get("storage_protocol")) if said in _PROTOCOLS}),
        "protocol_said": stats.get("storage_protocol"),
        "thin": any(_is_true(pool.get("thin_provisioning_support")) for pool in every),
        "multi_attach": all(_is_true(pool.get("multiattach")) for pool in every),
        "online_extend": all(_is_true(pool.get("online_extend_support", True)) for pool in every),
        "revert": implements(driver, "revert_to_snapshot"),
        "export_snapshots": implements(driver, "initialize_connection_snapshot"),
        "active_active": bool(driver.SUPPORTS_ACTIVE_ACTIVE),
    }


def _said(protocol: Any) -> list[str]:
    several = protocol if isinstance(protocol, (list, tuple)) else [protocol]
    return [str(one).lower() for one in several]


def _is_true(value: Any) -> bool:
    return str(value).lower() in {"true", "<is> true", "1"}

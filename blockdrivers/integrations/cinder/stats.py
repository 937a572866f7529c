"""What Cinder's scheduler is told about a backend: a dictionary for the backend, one for each pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blockdrivers.driver import Capabilities
from blockdrivers.model import GiB, Health, Pool, Protocol, SystemFacts


def location(facts: SystemFacts, protocol: Protocol) -> str:
    """Return what two backends have in common when one can take over the other's volumes without a copy."""
    return f"{facts.vendor}/{facts.serial}/{'files' if protocol is Protocol.NFS else 'luns'}"


def of_backend(facts: SystemFacts, pools: Sequence[Mapping[str, Any]], common: Mapping[str, Any]) -> dict[str, Any]:
    """Return a backend's report; `common` is what stands in the pools' as well."""
    return {"vendor_name": facts.vendor, "total_capacity_gb": 0, "free_capacity_gb": 0, **common, "pools": list(pools)}


def of_pool(pool: Pool, capabilities: Capabilities, common: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pool's report, in GiB."""
    report: dict[str, Any] = {
        **common,
        "pool_name": pool.name,
        "total_capacity_gb": _gigabytes(pool.total_bytes),
        "free_capacity_gb": _gigabytes(pool.free_bytes),
        "thin_provisioning_support": capabilities.thin,
        "thick_provisioning_support": capabilities.thick,
        "QoS_support": capabilities.qos is not None,
        "multiattach": capabilities.multi_attach,
        "online_extend_support": capabilities.online_extend,
        "consistent_group_snapshot_enabled": capabilities.group_snapshots,
        "clone_across_pools": True,
        "replication_enabled": False,
        "disk_type": ",".join(pool.disk_types),
        "backend_state": "down" if pool.health is Health.FAULTY else "up",
    }
    if pool.provisioned_bytes is not None:
        report["provisioned_capacity_gb"] = _gigabytes(pool.provisioned_bytes)
    return report


def _gigabytes(size: int) -> float:
    return round(size / GiB, 2)

"""What a check can need, and whether a run has it.

A capability or protocol that the array does not declare makes a check not applicable, and so does what nobody asked this run for. A facility that the run lacks (a
simulator's control API, a second pool) leaves the check not run: its promise is then not proven.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from blockdrivers.driver import Capabilities
from blockdrivers.host import multipath, userspace
from blockdrivers.model import Protocol
from conformance.outcome import Result
from conformance.suite import configuration, nfsfile
from conformance.suite.run import Run


@dataclass(frozen=True, slots=True)
class Unmet:
    """Why a check does not run."""

    result: Result
    reason: str


CAPABILITIES: dict[str, Callable[[Capabilities], bool]] = {
    "thin": lambda declared: declared.thin,
    "thick": lambda declared: declared.thick,
    "online_extend": lambda declared: declared.online_extend,
    "extend_with_snapshots": lambda declared: declared.extend_with_snapshots,
    "size_held_by_snapshots": lambda declared: not declared.extend_with_snapshots,
    "multi_attach": lambda declared: declared.multi_attach,
    "revert": lambda declared: declared.revert,
    "qos": lambda declared: declared.qos is not None,
    "manage": lambda declared: declared.manage,
    "migrate": lambda declared: declared.migrate,
    "migrate_in_use": lambda declared: declared.migrate and declared.migrate_in_use,
    "migrate_unused_only": lambda declared: declared.migrate and not declared.migrate_in_use,
    "group_snapshots": lambda declared: declared.group_snapshots,
    "export_snapshots": lambda declared: declared.export_snapshots,
    "copies_in_use": lambda declared: declared.copies_in_use,
    "copies_unused_only": lambda declared: not declared.copies_in_use,
    "chap": lambda declared: declared.chap is not None,
    "list_objects": lambda declared: declared.list_objects,
    "find_snapshots": lambda declared: declared.find_snapshots,
    "find_in_volume": lambda declared: declared.find_in_volume and not declared.find_snapshots,
    "list_exports": lambda declared: declared.list_exports,
    "host_objects": lambda declared: declared.host_objects,
    "tells_wwn": lambda declared: declared.tells_wwn,
    "tells_ports": lambda declared: declared.tells_ports,
    "tells_reasons": lambda declared: declared.tells_reasons,
    "own_transport": lambda declared: declared.own_transport,
    "parallel_processes": lambda declared: declared.parallel_processes,
    "revert_to_any": lambda declared: declared.revert_to_any,
    "revert_newest": lambda declared: declared.revert and not declared.revert_to_any,
    "snapshots_by_volume": lambda declared: not declared.find_snapshots,
    "initiators_only": lambda declared: not declared.host_objects,
    "untold": lambda declared: not (declared.list_objects and declared.find_snapshots and declared.list_exports),
}

PROTOCOLS: dict[str, frozenset[Protocol]] = {
    "iscsi": frozenset({Protocol.ISCSI}),
    "fc": frozenset({Protocol.FC}),
    "san": frozenset({Protocol.ISCSI, Protocol.FC}),
    "bytes": frozenset({Protocol.ISCSI, Protocol.NFS}),
}

CHOICES: dict[str, tuple[Callable[[Run], bool], str]] = {
    "attaching": (
        lambda run: run.target.attach,
        "this run attaches no volumes to the machine that it runs on (certify --attach)",
    ),
    "provisioned": (lambda run: run.tells_provisioned(), "the array does not tell how much it has promised to volumes"),
    "licences": (lambda run: bool(run.backend.licences()), "the array tells of no licences"),
    "over_https": (lambda run: not configuration.is_over_ssh(run.settings), "the array is managed over SSH in this run"),
    "over_ssh": (lambda run: configuration.is_over_ssh(run.settings), "the array is not managed over SSH in this run"),
}


def _serves_bytes(run: Run) -> bool:
    """Tell whether there are bytes behind the volumes: a simulator may do without."""
    if run.control is None:
        return True
    if run.target.protocol is Protocol.NFS:
        ports = run.once("ports", run.backend.ports)
        return any(nfsfile.answers(port.address) for port in ports if port.protocol is Protocol.NFS)
    return bool(run.control.paths())


FACILITIES: dict[str, tuple[Callable[[Run], bool], str]] = {
    "fault_control": (lambda run: run.control is not None, "only a simulator's control API can cause this fault"),
    "data_plane": (
        _serves_bytes,
        "the simulated array keeps no bytes behind its volumes; that takes Debian's tgt, or nfs-ganesha and root",
    ),
    "readable_files": (
        lambda run: run.capabilities.file_format in {None, "raw"},
        "these checks read raw files, and the backend keeps others",
    ),
    "initiator": (
        lambda run: (nfsfile if run.target.protocol is Protocol.NFS else userspace).missing() is None,
        "LUNs cannot be read from this machine without qemu-storage-daemon and QEMU's iSCSI driver "
        "(Debian: qemu-system-common, qemu-block-extra), nor files of NFS shares without libnfs (libnfs13)",
    ),
    "multipath": (lambda _: multipath.is_running(), "multipathd does not run on this machine"),
    "host_paths": (
        lambda run: run.control is not None and len(_paths(run)) > 1,
        "only a simulator's control API can cut a path, and it takes two of them",
    ),
    "two_pools": (lambda run: run.target.other_pool is not None, "the target names no second pool"),
    "two_hosts": (lambda run: len(run.target.hosts) > 1, "the target names only one host"),
    "two_controllers": (
        lambda run: configuration.addresses(run.settings) > 1,
        "the backend is configured with one controller address only",
    ),
    "password": (
        lambda run: bool(configuration.secrets(run.settings)),
        "the configuration file holds no password that a check could falsify",
    ),
    "tls": (
        lambda run: configuration.verifies_tls(run.settings),
        "the backend is not configured with a CA file to verify the array against",
    ),
    "host_key": (
        lambda run: configuration.verifies_host_keys(run.settings),
        "the backend is configured not to verify the array's host key",
    ),
    "trust": (
        lambda run: configuration.verifies_tls(run.settings) or configuration.verifies_host_keys(run.settings),
        "the backend is not configured to verify the array",
    ),
}


def _paths(run: Run) -> list[str]:
    """Return the names of the array's paths of this run's protocol."""
    assert run.control is not None
    return [path for path in run.control.paths() if (":" in path) == (run.target.protocol is Protocol.ISCSI)]


def unmet(needs: Iterable[str], run: Run) -> Unmet | None:
    """Return the first need that the run does not meet; what the array does not declare comes first."""
    missing: Unmet | None = None
    for need in needs:
        if need in CAPABILITIES:
            if not CAPABILITIES[need](run.capabilities):
                return Unmet(Result.NOT_APPLICABLE, f"The array does not declare {need}.")
        elif need in PROTOCOLS:
            if run.target.protocol not in PROTOCOLS[need]:
                return Unmet(Result.NOT_APPLICABLE, f"Exports of this run go over {run.target.protocol.label}.")
        elif need in CHOICES:
            chosen, reason = CHOICES[need]
            if not chosen(run):
                return Unmet(Result.NOT_APPLICABLE, f"{need}: {reason}.")
        elif missing is None:
            present, reason = FACILITIES[need]
            missing = None if present(run) else Unmet(Result.NOT_RUN, f"{need}: {reason}.")
    return missing


def known(need: str) -> bool:
    """Tell whether there is a need of that name."""
    return any(need in known_needs for known_needs in (CAPABILITIES, PROTOCOLS, CHOICES, FACILITIES))

"""What an array says of itself, as findings: health, licences, pools, ports, initiators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from blockdrivers.cli.sizes import format_size
from blockdrivers.errors import (
    AuthExpired,
    BlockDriversError,
    CertificateError,
    HostKeyError,
    LoginRefused,
    ProtocolError,
    Unreachable,
)
from blockdrivers.findings import Finding, Status
from blockdrivers.model import Health, Pool, Port, Protocol

if TYPE_CHECKING:
    from blockdrivers.backend import Backend

FULL = 0.80
NEARLY_FULL = 0.95

_HEALTH = {
    Health.NORMAL: Status.OK,
    Health.DEGRADED: Status.WARN,
    Health.FAULTY: Status.FAIL,
    Health.UNKNOWN: Status.UNKNOWN,
}

_LOGIN_ADVICE: tuple[tuple[type[BlockDriversError], str], ...] = (
    (LoginRefused, "Check user name, password and scope, and on the array whether the account is locked, expired or new."),
    (CertificateError, "See the finding on TLS: trust the array's certificate with tls.ca_file."),
    (HostKeyError, "Compare the host key with the array's own display and put it into the configuration."),
    (Unreachable, "See the findings on addresses."),
    (ProtocolError, "Make sure that the address is this family's management interface, and that the adapter is the right one."),
    (AuthExpired, "Look for something that ends sessions on the array: a session limit, or another program on this account."),
)


def examine(backend: Backend) -> Iterator[Finding]:
    """Yield everything that the array's own answers show; without a session, only that there is none."""
    try:
        system = backend.system()
    except BlockDriversError as trouble:
        advice = next((advice for kind, advice in _LOGIN_ADVICE if isinstance(trouble, kind)), "See the array's own words.")
        yield Finding("credentials", backend.name, Status.FAIL, _said(trouble), advice)
        for check in ("system", "licences", "pools", "ports", "initiators"):
            yield Finding(check, backend.name, Status.UNKNOWN, "not looked at: there is no session")
        return
    yield Finding("credentials", backend.name, Status.OK, "the array let us in")
    advice = "" if system.health is Health.NORMAL else "Look at the array's alarms."
    saw = f"{system.vendor} {system.model}, serial {system.serial}, firmware {system.firmware}: {system.health}"
    yield Finding("system", system.name, _HEALTH[system.health], saw, advice)
    yield from _guarded("licences", backend.name, lambda: _licences(backend))
    yield from _guarded("pools", backend.name, lambda: _pools(backend))
    yield from _guarded("ports", backend.name, lambda: _ports(backend))
    yield from _guarded("initiators", backend.name, lambda: _initiators(backend))


def _guarded(check: str, subject: str, look: Callable[[], Iterator[Finding]]) -> Sequence[Finding]:
    try:
        return list(look())
    except BlockDriversError as trouble:
        return [
            Finding(check, subject, Status.UNKNOWN, f"the array did not tell: {_said(trouble)}", "Mend this, then look again.")
        ]


def _said(trouble: BlockDriversError) -> str:
    return " ".join(str(trouble).split())


def _licences(backend: Backend) -> Iterator[Finding]:
    licences = backend.licences()
    if not licences:
        yield Finding("licences", backend.name, Status.UNKNOWN, "the array does not tell")
        return
    usable = sorted(name for name, able in licences.items() if able)
    yield Finding("licences", backend.name, Status.OK, f"usable: {', '.join(usable) or 'none'}")
    for name in sorted(licences.keys() - set(usable)):
        advice = "Import a licence before the feature is used; what needs it is refused until then."
        yield Finding("licences", name, Status.WARN, "not licensed, or run out", advice)


def _pools(backend: Backend) -> Iterator[Finding]:
    pools = backend.pools()
    if not pools:
        yield Finding(
            "pools", backend.name, Status.FAIL, "there is no pool", "Make a storage pool for block volumes on the array."
        )
    for pool in pools:
        yield _pool(pool)


def _pool(pool: Pool) -> Finding:
    used = 1 - pool.free_bytes / pool.total_bytes if pool.total_bytes else 1.0
    saw = f"{pool.health}, {used:.0%} of {format_size(pool.total_bytes)} used"
    status, advice = _HEALTH[pool.health], ""
    if status is not Status.OK:
        advice = "Look at the array's alarms for this pool."
    if pool.provisioned_bytes is not None and pool.total_bytes:
        saw += f", {pool.provisioned_bytes / pool.total_bytes:.2f} times promised"
        if pool.provisioned_bytes > pool.total_bytes:
            status = _worse(status, Status.WARN)
            advice = advice or "More is promised to thin volumes than there is: watch it, and keep room to grow."
    if used > FULL:
        status = _worse(status, Status.FAIL if used > NEARLY_FULL else Status.WARN)
        advice = "Add capacity, or move or delete volumes: thin volumes stop when the pool is full."
    return Finding("pools", pool.name, status, saw, advice)


def _ports(backend: Backend) -> Iterator[Finding]:
    declared = backend.capabilities
    if not declared.tells_ports:
        for protocol in sorted(declared.protocols):
            yield Finding("ports", protocol.label, Status.UNKNOWN, "the array does not tell")
        return
    ports = backend.ports()
    for protocol in sorted(declared.protocols):
        yield _ports_of(protocol, [port for port in ports if port.protocol is protocol])


def _ports_of(protocol: Protocol, ports: Sequence[Port]) -> Finding:
    if protocol is Protocol.RBD and not ports:
        return Finding("ports", protocol.label, Status.UNKNOWN, "the array does not tell")
    up = [port for port in ports if port.up]
    down = [port.address or port.id for port in ports if not port.up]
    saw = f"{len(up)} up" + (f", {len(down)} down: {', '.join(down)}" if down else "")
    if not ports:
        advice = "Nothing to do unless this protocol is wanted; then add ports, or give them addresses."
        return Finding("ports", protocol.label, Status.WARN, "the array has no port for it", advice)
    if not up:
        return Finding(
            "ports", protocol.label, Status.FAIL, saw, "Check cables, transceivers, switch ports and the ports' settings."
        )
    if down:
        return Finding(
            "ports", protocol.label, Status.WARN, saw, "Check those that should be up: cable, transceiver, switch port."
        )
    if len({port.controller for port in up}) == 1 and len(up) == 1:
        return Finding("ports", protocol.label, Status.WARN, saw, "A single port is a single point of failure; connect a second.")
    return Finding("ports", protocol.label, Status.OK, saw)


def _initiators(backend: Backend) -> Iterator[Finding]:
    found = backend.initiators()
    for protocol in sorted({Protocol.FC, Protocol.ISCSI} & backend.capabilities.protocols):
        mine = [item for item in found if item.protocol is protocol]
        online = [item for item in mine if item.online]
        saw = f"{len(online)} on line of {len(mine)} known"
        if online:
            yield Finding("initiators", protocol.label, Status.OK, f"{saw}: {', '.join(item.address for item in online[:4])}")
        elif protocol is Protocol.FC:
            yield Finding("initiators", protocol.label, Status.WARN, saw, "No host is logged in: check the fabric's zoning.")
        else:
            advice = "iSCSI hosts log in at their first attachment: nothing to do before that."
            yield Finding("initiators", protocol.label, Status.OK, saw, advice)


def _worse(first: Status, second: Status) -> Status:
    order = [Status.OK, Status.UNKNOWN, Status.WARN, Status.FAIL]
    return max(first, second, key=order.index)

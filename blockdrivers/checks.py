"""What is refused before anything is sent: every check raises a typed error that names the value and the way out."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from blockdrivers.driver import Capabilities
from blockdrivers.errors import InUse, InvalidRequest, NotSupported
from blockdrivers.model import Dependant, GiB, Health, Host, Protocol, Qos, Snapshot, Volume, VolumeState
from blockdrivers.naming import Label, kind_of

_IQN = re.compile(r"(iqn\.\d{4}-\d{2}\.[a-z0-9.-]+(:[!-~]+)?|(eui|naa)\.[0-9a-fA-F]{16,32})")
_IQN_LENGTH = 223
_WWPN = re.compile(r"[0-9a-f]{16}")
_FOREIGN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def supported(able: bool, what: str) -> None:
    """Raise `NotSupported` where the array is not able to do `what`."""
    if not able:
        raise NotSupported(f"This array cannot {what}; its capabilities say so.")


def protocol(wanted: Protocol, capabilities: Capabilities) -> Protocol:
    """Return a protocol that the array serves."""
    if wanted not in capabilities.protocols:
        served = ", ".join(sorted(capabilities.protocols)) or "none"
        raise NotSupported(f"This array does not serve {wanted!s}; it serves {served}.")
    return wanted


def size(wanted: int, capabilities: Capabilities) -> None:
    """Refuse a size in bytes outside the array's limits or steps."""
    if isinstance(wanted, bool) or not isinstance(wanted, int):
        raise InvalidRequest(f"The size must be a whole number of bytes; got {wanted!r}.")
    if not capabilities.min_size <= wanted <= capabilities.max_size:
        low, high = capabilities.min_size / GiB, capabilities.max_size / GiB
        raise InvalidRequest(f"The size must be {low:g} to {high:g} GiB; got {wanted} bytes ({wanted / GiB:g} GiB).")
    if wanted % capabilities.size_step:
        raise InvalidRequest(f"The size must be a multiple of {capabilities.size_step} bytes; got {wanted}.")


def growth(volume: Volume, wanted: int, capabilities: Capabilities) -> None:
    """Refuse to shrink a volume, to grow an unfinished one, or to grow one on line where the array cannot."""
    if wanted < volume.size:
        raise InvalidRequest(f"Volume {volume.volume_id!r} has {volume.size} bytes and never shrinks; asked for {wanted}.")
    complete(volume)
    if not capabilities.online_extend and wanted > volume.size and Dependant.EXPORT in volume.dependants:
        raise NotSupported(f"This array cannot extend volume {volume.volume_id!r} while it is exported; unexport it first.")
    if not capabilities.extend_with_snapshots and wanted > volume.size and Dependant.SNAPSHOT in volume.dependants:
        raise InUse(f"This array cannot extend volume {volume.volume_id!r} while it has snapshots; delete them first.")


def holds(wanted: int, source: Volume | Snapshot) -> None:
    """Refuse a clone that is smaller than its source."""
    if source.size is not None and wanted < source.size:
        raise InvalidRequest(f"A clone of {source.name!r} needs at least its {source.size} bytes; asked for {wanted}.")


def image_fits(virtual_size: int, volume: Volume) -> None:
    """Refuse an image whose disk is larger than the volume."""
    if virtual_size > volume.size:
        raise InvalidRequest(
            f"The image's disk has {virtual_size} bytes and volume {volume.volume_id!r} {volume.size}: extend the volume first."
        )


def imageable(volume: Volume, max_size: int) -> None:
    """Refuse to make an image of a volume larger than that."""
    if volume.size > max_size:
        raise InvalidRequest(
            f"Volume {volume.volume_id!r} has {volume.size} bytes; images are made of volumes up to {max_size} only."
        )


def lendable(volume: Volume, hosts: Collection[str]) -> None:
    """Refuse to copy the bytes of a volume that other hosts may be writing to."""
    if hosts:
        raise InUse(f"Volume {volume.volume_id!r} is exported to {', '.join(sorted(hosts))}; unexport it first.")


def complete(volume: Volume) -> None:
    """Refuse to build on a clone whose bytes are not all there."""
    if volume.state is VolumeState.COPYING:
        raise InUse(f"Volume {volume.volume_id!r} is a clone that is not complete; ask for that clone again first.")


def provisioning(thin: bool | None, capabilities: Capabilities, pool: str) -> bool:
    """Return whether to provision thinly; None takes thin where the array has it, or what the pool has."""
    if capabilities.thin_pools is not None:
        by_pool = pool in capabilities.thin_pools
        supported(thin in {None, by_pool}, f"make {'thin' if thin else 'thick'} volumes in the pool {pool!r}")
        return by_pool
    if thin is None:
        return capabilities.thin
    supported(capabilities.thin if thin else capabilities.thick, f"make {'thin' if thin else 'thick'} volumes")
    return thin


def qos(wanted: Qos, capabilities: Capabilities) -> None:
    """Refuse limits that the array cannot set, or not together."""
    support = capabilities.qos
    if support is None:
        raise NotSupported("This array cannot limit a volume's throughput; its capabilities say so.")
    limits = wanted.as_dict()
    if unknown := sorted(limits.keys() - support.keys):
        raise NotSupported(f"This array cannot set {', '.join(unknown)}; it can set {', '.join(sorted(support.keys))}.")
    if limits and not any(limits.keys() <= together for together in support.combinations):
        raise InvalidRequest(f"This array cannot set {', '.join(limits)} together on one volume.")
    for key, value in limits.items():
        _limit(key, value, _step(key, capabilities), support.min_iops if key.endswith("iops") else 1)


def tells_qos(capabilities: Capabilities) -> bool:
    """Tell whether a volume that is read says if it has limits."""
    return capabilities.qos is None or capabilities.qos.told


def _step(key: str, capabilities: Capabilities) -> int:
    support = capabilities.qos
    if support is None or key.endswith("iops"):
        return 1
    return support.latency_step_us if key.endswith("_us") else support.bytes_step


def _limit(key: str, value: int, step: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < max(least, step) or value % step:
        raise InvalidRequest(f"{key} must be a multiple of {step}, at least {max(least, step)}; got {value!r}.")


def host(wanted: Host, via: Protocol, capabilities: Capabilities) -> Host:
    """Return the host with its WWPNs in canonical form, or refuse one that cannot use the protocol."""
    protocol(via, capabilities)
    if via is Protocol.ISCSI and not (wanted.iqn and len(wanted.iqn) <= _IQN_LENGTH and _IQN.fullmatch(wanted.iqn)):
        raise InvalidRequest(f"Host {wanted.name!r} needs an iSCSI qualified name for an iSCSI export; got {wanted.iqn!r}.")
    if via is Protocol.FC and not wanted.wwpns:
        raise InvalidRequest(f"Host {wanted.name!r} needs at least one WWPN for an FC export.")
    if via is Protocol.NFS:
        _addresses(wanted, capabilities)
    if wanted.chap is not None:
        _chap(wanted, via, capabilities)
    return replace(wanted, wwpns=tuple(wwpn(text) for text in wanted.wwpns))


def initiators_of(wanted: Host | str, via: Protocol, capabilities: Capabilities) -> Host:
    """Return the host with its WWPNs in canonical form, or refuse a mere name: this array knows initiators only."""
    if isinstance(wanted, str):
        raise InvalidRequest(f"This array knows no hosts; give the initiators of {wanted!r} as well.")
    return host(wanted, via, capabilities)


def _addresses(wanted: Host, capabilities: Capabilities) -> None:
    if capabilities.export_rules and not wanted.addresses:
        raise InvalidRequest(f"Host {wanted.name!r} needs at least one IP address for an NFS export.")
    for address in wanted.addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise InvalidRequest(f"Host {wanted.name!r} has {address!r} among its IP addresses, which is none.") from None


def _chap(wanted: Host, via: Protocol, capabilities: Capabilities) -> None:
    rules = capabilities.chap
    if rules is None or via is not Protocol.ISCSI:
        raise NotSupported(f"This array has no CHAP for {via!s} exports.")
    if wanted.chap is None or not wanted.chap.username:
        raise InvalidRequest(f"Host {wanted.name!r} has CHAP credentials without a user name.")
    if not rules.free_username and wanted.chap.username != wanted.iqn:
        raise InvalidRequest(
            f"This array knows no CHAP user name but the initiator's own, {wanted.iqn!r}; got {wanted.chap.username!r}."
        )
    if not rules.min_secret <= len(wanted.chap.secret) <= rules.max_secret:
        raise InvalidRequest(
            f"The CHAP secret of host {wanted.name!r} must have {rules.min_secret} to {rules.max_secret} characters; "
            f"it has {len(wanted.chap.secret)}."
        )


def wwpn(text: str) -> str:
    """Return a WWPN as 16 lower-case hex digits; colons are allowed on the way in."""
    plain = text.replace(":", "").lower()
    if not _WWPN.fullmatch(plain):
        raise InvalidRequest(f"A WWPN is 16 hexadecimal digits, with or without colons; got {text!r}.")
    return plain


def names(name: str, description: str, identifier: str) -> None:
    """Refuse to touch an object whose description says that it is another id's."""
    label = Label.parse(description)
    if label.names_other_than(identifier):
        raise InvalidRequest(f"The array's {name!r} belongs to the id {label.id or label.digest!r}, not to {identifier!r}.")


def deletable(volume: Volume, *, force: bool) -> None:
    """Refuse to delete a volume that something hangs on; exports may be forced away, a cut-off copy goes with its target."""
    blocking = set(volume.dependants)
    if force:
        blocking.discard(Dependant.EXPORT)
    if volume.state is VolumeState.COPYING:
        blocking.discard(Dependant.COPY)
    if blocking:
        named = ", ".join(sorted(blocking))
        raise InUse(f"Volume {volume.volume_id!r} has dependants ({named}) and was not deleted; remove them first.")


def movable(volume: Volume, pool: str, capabilities: Capabilities) -> None:
    """Refuse to move a volume under a host that would go on with what is left behind."""
    if not capabilities.migrate_in_use and pool != volume.pool and Dependant.EXPORT in volume.dependants:
        raise InUse(
            f"Volume {volume.volume_id!r} is exported, and this array moves volumes only while no host uses them: unexport it first."
        )


def deletable_snapshot(snapshot: Snapshot) -> None:
    """Refuse to delete a snapshot that a host may be reading."""
    if snapshot.exported:
        raise InUse(f"Snapshot {snapshot.snapshot_id!r} is exported and was not deleted; unexport it first.")


def of_volume(snapshot: Snapshot, volume_name: str, volume_id: str) -> None:
    """Refuse a snapshot that is not of the volume that the caller named."""
    if snapshot.source_name != volume_name:
        raise InvalidRequest(f"Snapshot {snapshot.snapshot_id!r} is of {snapshot.source_name!r}, not of volume {volume_id!r}.")


def taken(snapshot: Snapshot) -> None:
    """Refuse a snapshot that holds no point in time: a call that was cut off made it, and its bytes are nobody's."""
    if not snapshot.ready:
        raise InvalidRequest(f"Snapshot {snapshot.snapshot_id!r} holds no point in time yet; ask for it again first.")


def revertible(volume: Volume, snapshot: Snapshot, *, force: bool) -> None:
    """Refuse to revert to another volume's snapshot, across a resize, or under a host's feet."""
    if (snapshot.source_id, snapshot.source_name) != (volume.id, volume.name):
        raise InvalidRequest(f"Snapshot {snapshot.snapshot_id!r} is not of volume {volume.volume_id!r}.")
    taken(snapshot)
    if snapshot.size is not None and snapshot.size != volume.size:
        raise InvalidRequest(
            f"Volume {volume.volume_id!r} has {volume.size} bytes and snapshot {snapshot.snapshot_id!r} {snapshot.size}: "
            "a volume is not reverted across a resize, since it would shrink; make a new volume from the snapshot instead."
        )
    if Dependant.EXPORT in volume.dependants and not force:
        raise InUse(f"Volume {volume.volume_id!r} is exported and was not reverted; unexport it first, or say force.")


def manageable(volume: Volume, capabilities: Capabilities) -> None:
    """Refuse to take over a volume that is somebody's: named by this library, in use, or not of a usable size."""
    if kind_of(volume.name) is not None:
        raise InvalidRequest(f"{volume.name!r} is managed by this library already; give it up first.")
    if volume.health is not Health.NORMAL:
        raise InvalidRequest(f"{volume.name!r} is {volume.health!s} and was not taken over.")
    if blocking := volume.dependants - {Dependant.SNAPSHOT}:
        raise InUse(f"{volume.name!r} is in use ({', '.join(sorted(blocking))}) and was not taken over.")
    size(volume.size, capabilities)


def manageable_snapshot(snapshot: Snapshot, volume: Volume) -> None:
    """Refuse to take over a snapshot of another volume, an exported one, or one that is managed already."""
    foreign_snapshot(snapshot.name)
    if snapshot.source_id != volume.id:
        raise InvalidRequest(f"{snapshot.name!r} is not a snapshot of volume {volume.volume_id!r}.")
    if snapshot.exported:
        raise InUse(f"{snapshot.name!r} is exported and was not taken over.")


def foreign_snapshot(name: str) -> None:
    """Refuse to take over a snapshot that is managed already."""
    if kind_of(name) is not None:
        raise InvalidRequest(f"{name!r} is managed by this library already.")


def foreign_name(name: str, max_length: int) -> None:
    """Refuse a name for a given-up volume that the array would not take, or that would still look like this library's."""
    if len(name) > max_length or not _FOREIGN_NAME.fullmatch(name):
        raise InvalidRequest(
            f"A name is 1 to {max_length} letters, digits, '_', '.' or '-', the last two not at its beginning; got {name!r}."
        )
    if kind_of(name) is not None:
        raise InvalidRequest(f"{name!r} has the form of this library's own names; choose another.")


def distinct(members: Mapping[str, str]) -> None:
    """Refuse an empty group, or one snapshot id for two volumes."""
    if not members:
        raise InvalidRequest("A group snapshot needs at least one volume.")
    if len(set(members.values())) != len(members):
        raise InvalidRequest("Each volume of a group snapshot needs a snapshot id of its own.")

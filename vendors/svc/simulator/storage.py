"""Volumes. Source: IBM sheet, section 3.4; Inspur sheet, 3.3."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.simulation.engine import EXTENT, Pool, Volume
from vendors.svc.simulator import codes
from vendors.svc.simulator.codes import Refusal
from vendors.svc.simulator.shell import (
    Bytes,
    Command,
    Created,
    Detail,
    Given,
    Pairs,
    Table,
    Value,
    action,
    checked_name,
    listing,
)
from vendors.svc.simulator.state import IO_GROUP, IO_GROUP_NAME, Copy, Kind, State

_GRAINS = ("8", "32", "64", "128", "256")
_KIND_VALUES = "rsize warning grainsize easytier intier"
_KIND_SWITCHES = "autoexpand compressed deduplicated deduped"
_MANY = "many"


class Storage:
    """The volumes of an array."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._array = state.array
        self._profile = state.profile

    def commands(self) -> dict[str, Command]:
        """Return the verbs."""
        values = f"name mdiskgrp iogrp size unit copies syncrate node accessiogrp cache vtype volumegroup {_KIND_VALUES}"
        found = {
            "lsvdisk": listing(self._volumes),
            "mkvdisk": action(self._create, values, f"nofmtdisk {_KIND_SWITCHES}", most=0),
            "chvdisk": action(self._change, "name rate warning autoexpand easytier intier", "unitmb"),
            "expandvdisksize": action(self._expand, "size unit"),
            "rmvdisk": action(self._remove, "", "force" + (" removehostmappings" if self._profile.removes_mappings else "")),
        }
        if self._profile.mkvolume:
            found["mkvolume"] = action(
                self._create_volume,
                "name pool iogrp size unit buffersize warning grainsize volumegroup",
                "thin compressed deduplicated noautoexpand",
                most=0,
            )
            found["rmvolume"] = action(
                self._remove_volume, "", f"removehostmappings removercrelationships remove{self._profile.words.stem}maps"
            )
        return found

    # Volumes

    def _volumes(self, given: Given) -> Table | Detail:
        if given.objects:
            volume = self._state.volume(given.object)
            sections = [self._section(volume), *(self._copy(copy, volume) for copy in self._state.copies[volume.id])]
            return Detail(sections, ("tiers", 2))
        return Table([self._row(volume) for volume in self._array.volumes.values()])

    def _row(self, volume: Volume) -> Pairs:
        copies = self._state.copies[volume.id]
        pool_id, pool_name = self._pool_of(copies)
        stem = self._profile.words.stem
        pairs: list[tuple[str, Value]] = [
            ("id", volume.id),
            ("name", volume.name),
            ("IO_group_id", IO_GROUP),
            ("IO_group_name", IO_GROUP_NAME),
            ("status", self._status(volume)),
            ("mdisk_grp_id", pool_id),
            ("mdisk_grp_name", pool_name),
            ("capacity", Bytes(volume.size)),
            ("type", "striped"),
            ("FC_id", self._map_field(volume, 0)),
            ("FC_name", self._map_field(volume, 1)),
            ("RC_id", ""),
            ("RC_name", ""),
            ("vdisk_UID", volume.wwn.upper()),
            (f"{stem}_map_count", len(self._state.maps_of(volume))),
            ("copy_count", len(copies)),
            ("fast_write_state", "empty"),
            ("se_copy_count", sum(copy.kind.thin for copy in copies)),
            ("RC_change", "no"),
        ]
        if self._profile.words.vendor == "IBM":
            pairs += [
                ("compressed_copy_count", sum(copy.kind.compressed for copy in copies)),
                ("parent_mdisk_grp_id", pool_id),
                ("parent_mdisk_grp_name", pool_name),
                ("formatting", "yes" if self._state.is_formatting(volume) else "no"),
                ("encrypt", "no"),
                ("volume_id", volume.id),
                ("volume_name", volume.name),
                ("function", ""),
            ]
        return pairs

    def _section(self, volume: Volume) -> Pairs:
        copies = self._state.copies[volume.id]
        pool_id, pool_name = self._pool_of(copies)
        stem = self._profile.words.stem
        formatting = self._state.is_formatting(volume)
        pairs: list[tuple[str, Value]] = [
            ("id", volume.id),
            ("name", volume.name),
            ("IO_group_id", IO_GROUP),
            ("IO_group_name", IO_GROUP_NAME),
            ("status", self._status(volume)),
            ("mdisk_grp_id", pool_id),
            ("mdisk_grp_name", pool_name),
            ("capacity", Bytes(volume.size)),
            ("type", "striped"),
            ("formatted", "no" if formatting else "yes"),
            ("formatting", "yes" if formatting else "no"),
            ("mdisk_id", ""),
            ("mdisk_name", ""),
            ("FC_id", self._map_field(volume, 0)),
            ("FC_name", self._map_field(volume, 1)),
            ("RC_id", ""),
            ("RC_name", ""),
            ("vdisk_UID", volume.wwn.upper()),
            *self._limits(volume),
            ("preferred_node_id", "1"),
            ("fast_write_state", "empty"),
            ("cache", "readwrite"),
            ("udid", ""),
            (f"{stem}_map_count", len(self._state.maps_of(volume))),
            ("sync_rate", 50),
            ("copy_count", len(copies)),
            ("se_copy_count", sum(copy.kind.thin for copy in copies)),
            ("filesystem", ""),
            ("mirror_write_priority", "latency"),
            ("RC_change", "no"),
            ("compressed_copy_count", sum(copy.kind.compressed for copy in copies)),
        ]
        if self._profile.words.vendor == "IBM":
            pairs += [
                ("access_IO_group_count", 1),
                ("last_access_time", ""),
                ("parent_mdisk_grp_id", pool_id),
                ("parent_mdisk_grp_name", pool_name),
                ("encrypt", "no"),
                ("volume_id", volume.id),
                ("volume_name", volume.name),
                ("function", ""),
            ]
        return pairs

    def _limits(self, volume: Volume) -> list[tuple[str, Value]]:
        throttle = self._state.throttle_of(volume)
        iops = "" if throttle is None or throttle.iops is None else str(throttle.iops)
        megabytes = "" if throttle is None or throttle.megabytes is None else str(throttle.megabytes)
        if not self._profile.bandwidth:
            return [("throttling", iops or "0")]
        named: list[tuple[str, Value]] = []
        if self._profile.throttles:
            named = [("throttle_id", throttle.id if throttle else ""), ("throttle_name", throttle.name if throttle else "")]
        return [*named, ("IOPs_limit", iops), ("bandwidth_limit_MB", megabytes)]

    def _copy(self, copy: Copy, volume: Volume) -> Pairs:
        words, kind = self._profile.words, copy.kind
        pool = self._array.pools[copy.pool_id]
        real = min(volume.size, EXTENT) if kind.thin else volume.size
        pairs: list[tuple[str, Value]] = [
            ("copy_id", copy.id),
            ("status", "online"),
            ("sync", "yes" if self._state.now >= copy.synced_at else "no"),
            ("auto_delete", "yes" if copy.auto_delete else "no"),
            ("primary", "yes" if copy.primary else "no"),
            ("mdisk_grp_id", pool.id),
            ("mdisk_grp_name", pool.name),
            ("type", "striped"),
            ("mdisk_id", ""),
            ("mdisk_name", ""),
            ("fast_write_state", "empty"),
            ("used_capacity", Bytes(real)),
            ("real_capacity", Bytes(real)),
            ("free_capacity", Bytes(0)),
            ("overallocation", volume.size * 100 // real),
            ("autoexpand", ("on" if kind.autoexpand else "off") if kind.thin else ""),
            ("warning", kind.warning if kind.thin else ""),
            ("grainsize", kind.grain if kind.thin else ""),
            ("se_copy", "yes" if kind.thin else "no"),
            (words.tier_field, "on" if kind.tiered else "off"),
            (f"{words.tier_field}_status", "balanced" if kind.tiered else "measured"),
            ("compressed_copy", "yes" if kind.compressed else "no"),
        ]
        if self._profile.reduces:
            pairs.append((f"{words.deduplicated}_copy", "yes" if kind.deduplicated else "no"))
        if words.vendor == "IBM":
            pairs += [("tier", "tier0_flash"), ("tier_capacity", Bytes(real))]
        return pairs

    def _status(self, volume: Volume) -> str:
        stopped = any(found.target_id == volume.id and found.status == "stopped" for found in self._state.maps.values())
        return "offline" if stopped else "online"

    def _pool_of(self, copies: Sequence[Copy]) -> tuple[str, str]:
        pools = {copy.pool_id for copy in copies}
        if len(pools) > 1:
            return _MANY, _MANY
        pool = self._array.pools[copies[0].pool_id]
        return pool.id, pool.name

    def _map_field(self, volume: Volume, field: int) -> str:
        found = self._state.maps_of(volume)
        if len(found) != 1:
            return _MANY if found else ""
        return (found[0].id, found[0].name)[field]

    # Changes

    def _create(self, given: Given) -> Created:
        names = given.text("mdiskgrp").split(":")
        if "iogrp" in given:
            self._state.io_group(given.text("iogrp"))
        if len(names) != given.number("copies", 1, among=range(1, 3)):
            raise Refusal(codes.BAD_VALUE)
        pools = [self._state.pool(name) for name in names]
        kinds = [self.kind(given, pool) for pool in pools]
        return self._made(given, pools, kinds, given.size(), "Virtual Disk")

    def _create_volume(self, given: Given) -> Created:
        if "iogrp" in given:
            self._state.io_group(given.text("iogrp"))
        pool = self._state.pool(given.text("pool"))
        if "deduplicated" in given and not self._state.reduces(pool.id):
            raise Refusal(codes.NOT_REDUCING)
        thin = any(flag in given for flag in ("thin", "compressed", "deduplicated"))
        kind = Kind(thin, "compressed" in given, "deduplicated" in given, thin and "noautoexpand" not in given, "80", "256")
        self._check_licence(kind)
        return self._made(given, [pool], [kind], given.size(), "Volume")

    def _made(self, given: Given, pools: Sequence[Pool], kinds: Sequence[Kind], size: int, word: str) -> Created:
        name = checked_name(given.text("name")) if "name" in given else self._default_name()
        self._free_name(name)
        formatting = 0.0 if kinds[0].thin or "nofmtdisk" in given else self._state.options.formatting_seconds
        volume = self._array.create_volume(name, pools[0].id, size, thin=kinds[0].thin, online_in=formatting)
        self._state.copies[volume.id] = [
            Copy(str(number), pool.id, kind, primary=number == 0)
            for number, (pool, kind) in enumerate(zip(pools, kinds, strict=True))
        ]
        return Created(volume.id, f"{word}, id [{volume.id}], successfully created")

    def kind(self, given: Given, pool: Pool) -> Kind:
        """Return how a new copy keeps its bytes, or refuse what its pool does not take."""
        words = self._profile.words
        foreign = {"easytier", "intier"} - {words.tier} | {"deduplicated", "deduped"} - {words.deduplicated}
        if any(flag in given for flag in foreign):
            raise Refusal(codes.PARAMETER_UNKNOWN)
        tiered = given.choice(words.tier, ("on", "off"), "on") == "on"
        reduces, thin = self._state.reduces(pool.id), "rsize" in given
        compressed, deduplicated = "compressed" in given, words.deduplicated in given
        if not thin:
            if compressed or deduplicated or "autoexpand" in given or "grainsize" in given or "warning" in given:
                raise Refusal(codes.PARAMETER_MISSING)
            if reduces and words.vendor != "IBM":
                raise Refusal(codes.NOT_IN_THIS_POOL)
            return Kind(tiered=tiered)
        if deduplicated and not reduces:
            raise Refusal(codes.NOT_REDUCING)
        if reduces and (words.tier in given or "autoexpand" not in given or self._is_refused_in_reducing(given)):
            raise Refusal(codes.NOT_IN_THIS_POOL)
        grain = given.choice("grainsize", _GRAINS, "256")
        kind = Kind(thin, compressed, deduplicated, "autoexpand" in given, _percent(given), grain, tiered)
        self._check_licence(kind)
        return kind

    def _is_refused_in_reducing(self, given: Given) -> bool:
        return self._profile.words.vendor == "IBM" and ("warning" in given or "grainsize" in given)

    def _check_licence(self, kind: Kind) -> None:
        if kind.compressed and not self._state.licences["compression"]:
            raise Refusal(codes.NO_COMPRESSION)

    def _change(self, given: Given) -> None:
        volume = self._state.volume(given.object, codes.GONE)
        attributes = set(given.flags) - {"unitmb"}
        if len(attributes) != 1:
            raise Refusal(codes.EXCLUSIVE if attributes else codes.PARAMETER_MISSING)
        if "rate" in given:
            self._limit(volume, given)
        elif "name" in given:
            name = checked_name(given.text("name"))
            self._free_name(name, volume)
            volume.name = name
        else:
            self._retune(volume, given)

    def _retune(self, volume: Volume, given: Given) -> None:
        kind = self._state.copies[volume.id][0].kind
        if "warning" in given:
            kind.warning = _percent(given)
        elif "autoexpand" in given:
            kind.autoexpand = given.choice("autoexpand", ("on", "off")) == "on"
        elif self._profile.words.tier in given:
            kind.tiered = given.choice(self._profile.words.tier, ("on", "off")) == "on"
        else:
            raise Refusal(codes.PARAMETER_UNKNOWN)

    def _limit(self, volume: Volume, given: Given) -> None:
        megabytes = "unitmb" in given
        if megabytes and not self._profile.bandwidth:
            raise Refusal(codes.PARAMETER_UNKNOWN)
        rate = given.number("rate", among=range(33554433))
        self._state.limit(volume, **{"megabytes" if megabytes else "iops": rate or None})

    def _expand(self, given: Given) -> None:
        volume = self._state.volume(given.object, codes.GONE)
        if self._state.is_formatting(volume):
            raise Refusal(codes.FORMATTING)
        for found in self._state.maps_of(volume):
            if not self._profile.grows_in_map or found.status not in {"copying", "idle_or_copied"}:
                raise Refusal(codes.VOLUME_IN_USE)
        self._array.extend_volume(volume, volume.size + given.size())

    def _remove(self, given: Given) -> None:
        volume = self._state.volume(given.object, codes.GONE)
        self._delete(volume, maps="force" in given, mappings="force" in given or "removehostmappings" in given)

    def _remove_volume(self, given: Given) -> None:
        volume = self._state.volume(given.object, codes.GONE)
        maps = f"remove{self._profile.words.stem}maps" in given
        self._delete(volume, maps=maps, mappings="removehostmappings" in given)

    def _delete(self, volume: Volume, *, maps: bool, mappings: bool) -> None:
        """Delete a volume with what is said to go along; anything else that hangs on it keeps it."""
        seen_by, mapped = self._array.seen_by(volume.id), self._state.maps_of(volume)
        if (seen_by and not mappings) or (mapped and not maps):
            raise Refusal(codes.VOLUME_IN_USE)
        for host_id in seen_by:
            del self._array.visible[host_id][volume.id]
        if seen_by:
            self._array.serve()
        for found in mapped:
            del self._state.maps[found.id]
        throttle = self._state.throttle_of(volume)
        if throttle is not None:
            del self._state.throttles[throttle.id]
        del self._state.copies[volume.id]
        self._array.delete_volume(volume)

    def _free_name(self, name: str, but: Volume | None = None) -> None:
        if any(volume.name == name and volume is not but for volume in self._array.volumes.values()):
            raise Refusal(codes.EXISTS)

    def _default_name(self) -> str:
        return f"vdisk{self._array.next_object_id()}"

    # For the state dump

    def dump(self) -> list[dict[str, object]]:
        """Return the volumes."""
        return [
            {
                "id": volume.id,
                "name": volume.name,
                "wwn": volume.wwn,
                "size": volume.size,
                "thin": volume.thin,
                "copies": [
                    {
                        "pool": self._array.pools[copy.pool_id].name,
                        "thin": copy.kind.thin,
                        "compressed": copy.kind.compressed,
                        "deduplicated": copy.kind.deduplicated,
                    }
                    for copy in self._state.copies[volume.id]
                ],
            }
            for volume in self._array.volumes.values()
        ]


def _percent(given: Given) -> str:
    """Return a warning threshold; the sheet shows percentages."""
    text = given.text("warning", "80%")
    if not (text.endswith("%") and text[:-1].isdecimal() and 0 <= int(text[:-1]) <= 100):  # noqa: PLR2004
        raise Refusal(codes.BAD_VALUE)
    return text[:-1]

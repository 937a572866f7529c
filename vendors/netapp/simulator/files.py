"""Files of FlexVols. Source: protocol sheet, section 3.10.

The files are real ones, in a folder per FlexVol; hosts of the array make and change them behind this interface, so every request
looks at the folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

from conformance.simulation.engine import EXTENT
from conformance.simulation.family import Response
from vendors.netapp.simulator import wire
from vendors.netapp.simulator.flexvols import FlexVols, accepted
from vendors.netapp.simulator.luns import NO_LICENCE, no_space
from vendors.netapp.simulator.policies import Policies
from vendors.netapp.simulator.state import FlexSnapshot, FlexVol, State
from vendors.netapp.simulator.wire import Call, Record, Refusal

_ROOT = "storage/volumes/{uuid}/files"
_GET_GENERATION = 0x80087601
_FICLONE = 0x40049409
_IN_SNAPSHOT = re.compile(r"(\./)?\.snapshot/(?P<snapshot>[^/]+)/(?P<name>[^/]+)")
_LONGEST_UPLOAD = 1024 * 1024
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


class Files:
    """The files of every FlexVol."""

    def __init__(self, state: State, flexvols: FlexVols, policies: Policies) -> None:
        self._state = state
        self._flexvols = flexvols
        self._policies = policies
        self._reserved: set[tuple[str, str]] = set()
        self._in_policy: dict[tuple[str, str], str] = {}
        self.cloning_licensed: Callable[[], bool] = lambda: True
        policies.users.append(self._files_in)
        self._kept: dict[str, tempfile.TemporaryDirectory[str]] = {}
        state.used_by_files = self._used
        state.keep_files, state.drop_files = self._keep, lambda snapshot: self._kept.pop(snapshot.uuid).cleanup()

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        return {
            ("GET", _ROOT): self._list,
            ("GET", f"{_ROOT}/{{path}}"): self._get,
            ("POST", f"{_ROOT}/{{path}}"): self._create,
            ("PATCH", f"{_ROOT}/{{path}}"): self._change,
            ("DELETE", f"{_ROOT}/{{path}}"): self._delete,
            ("POST", "storage/file/clone"): self._clone,
            ("POST", "storage/file/copy"): self._copy,
            ("GET", "private/cli/volume/file/show-disk-usage"): self._usage,
        }

    def dump(self) -> list[Record]:
        """Return the files for the state dump."""
        return [
            {
                "flexvol": flexvol.name,
                "name": path.name,
                "size": os.lstat(path).st_size,
                "target": str(path.readlink()) if path.is_symlink() else None,
                "reserved": (flexvol.name, path.name) in self._reserved,
                "policy": self._in_policy.get((flexvol.name, path.name), ""),
            }
            for flexvol in self._state.flexvols.values()
            for path in self._paths(flexvol)
        ]

    def _folder(self, flexvol: FlexVol) -> Path:
        folder = self._state.options.files / flexvol.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _paths(self, flexvol: FlexVol) -> Iterator[Path]:
        return iter(sorted(self._folder(flexvol).iterdir()))

    def _used(self, pool_id: str) -> int:
        flexvol = next(item for item in self._state.flexvols.values() if item.pool_id == pool_id)
        found = 0
        for path in self._paths(flexvol):
            if path.is_file() and not path.is_symlink():
                found += path.stat().st_size if (flexvol.name, path.name) in self._reserved else EXTENT
        return found

    def _files_in(self, policy: str) -> int:
        return sum(name == policy for name in self._in_policy.values())

    # Looking

    def _record(self, flexvol: FlexVol, path: Path) -> Record:
        facts = os.lstat(path)
        key = (flexvol.name, path.name)
        record: Record = {
            "name": path.name,
            "path": "",
            "type": _KINDS.get(stat.S_IFMT(facts.st_mode), "file"),
            "size": facts.st_size,
            "bytes_used": facts.st_blocks * 512,
            "unique_bytes": facts.st_blocks * 512,
            "inode_number": facts.st_ino,
            "inode_generation": _generation(path),
            "fill_enabled": key in self._reserved,
            "overwrite_enabled": key in self._reserved,
            "unix_permissions": f"{stat.S_IMODE(facts.st_mode):o}",
        }
        if path.is_symlink():
            record["target"] = str(path.readlink())
        if key in self._in_policy:
            policy = self._in_policy[key]
            record["qos_policy"] = {"name": policy, "uuid": self._policies.uuid_of(policy)}
        return record

    def _list(self, call: Call) -> Response:
        flexvol = self._flexvols.find(call.ids[0])
        folders = [{"name": name, "path": "", "type": "directory", "size": 4096} for name in (".", "..")]
        records = folders + [self._record(flexvol, path) for path in self._paths(flexvol)]
        return wire.listed(call, f"storage/volumes/{flexvol.uuid}/files", records, ("name", "path", "type"))

    def _path(self, call: Call) -> tuple[FlexVol, Path]:
        """Return a file that is there."""
        flexvol, path = self._place(call.ids[0], call.ids[1])
        if not os.path.lexists(path):
            raise Refusal(6684674, "No such file or directory.", 404)
        return flexvol, path

    def _place(self, identifier: str, name: str) -> tuple[FlexVol, Path]:
        flexvol = self._flexvols.find(identifier)
        if "/" in name or name in {"", ".", ".."} or len(name.encode()) > 255:  # noqa: PLR2004 - the longest file name
            raise Refusal(262197, "The path is not valid here.", target="path")
        return flexvol, self._folder(flexvol) / name

    def _get(self, call: Call) -> Response:
        flexvol, path = self._path(call)
        answer = wire.listed(call, "files", [self._record(flexvol, path)], ("name", "path"))
        return answer if call.query.get("return_metadata") == "true" else wire.respond({"records": [], "num_records": 0})

    def _usage(self, call: Call) -> Response:
        _, _, name, *rest = call.query.get("path", "").split("/") + [""] * 3
        flexvol = self._state.flexvols.get(name)
        if flexvol is None or not rest or not (self._folder(flexvol) / rest[0]).is_file():
            raise Refusal(917806, "No such file.", 404)
        used = (self._folder(flexvol) / rest[0]).stat().st_blocks // 2
        return wire.respond({"unique_bytes": f"{used}KB"})

    # Changing

    def _create(self, call: Call) -> Response:
        flexvol, path = self._place(call.ids[0], call.ids[1])
        content = (call.headers or {}).get("content-type", "")
        if os.path.lexists(path) and call.query.get("overwrite") != "true":
            raise Refusal(6488118, "The file exists.", 409)
        self._need_space(flexvol)
        if content.startswith("multipart/form-data"):
            data = _form_data(content, call.raw)
            if len(data) > _LONGEST_UPLOAD:
                raise Refusal(262197, "At most one megabyte can be written at once.")
            path.write_bytes(data)
        elif "target" in call.body:
            path.symlink_to(wire.text(call.body, "target"))
        elif call.body.get("type") == "directory":
            path.mkdir()
        else:
            raise Refusal(262197, "The body makes no file, directory or symbolic link.")
        return wire.respond({"num_records": 1}, 201)

    def _change(self, call: Call) -> Response:
        flexvol, path = self._path(call)
        body = call.body
        wire.only(body, "size", "path", "fill_enabled", "overwrite_enabled", "qos_policy", "unix_permissions")
        key = (flexvol.name, path.name)
        if wire.flag(body, "fill_enabled") != wire.flag(body, "overwrite_enabled"):
            raise Refusal(262197, "fill_enabled and overwrite_enabled have to be equal.")
        wanted = wire.size(body, "size") if "size" in body else path.lstat().st_size
        reserves = wire.flag(body, "fill_enabled", key in self._reserved)
        growth = wanted - path.lstat().st_size if key in self._reserved else wanted if reserves else 0
        self._need_space(flexvol, max(growth, EXTENT if "size" in body else 0))
        if wire.at(body, "qos_policy.name") is not None:
            policy = self._policies.usable(wire.text(body, "qos_policy.name"))
            self._in_policy.pop(key, None)
            if policy:
                self._in_policy[key] = policy
        if "size" in body:
            os.truncate(path, wanted)
        if "unix_permissions" in body:
            path.chmod(int(str(body["unix_permissions"]), 8))
        (self._reserved.add if reserves else self._reserved.discard)(key)
        if "path" in body:
            self._rename(flexvol, path, wire.text(body, "path"))
        return wire.respond({})

    def _rename(self, flexvol: FlexVol, path: Path, name: str) -> None:
        """Rename a file; its QoS policy does not follow."""
        _, target = self._place(flexvol.uuid, name)
        if os.path.lexists(target):
            raise Refusal(6488082, "The file cannot be renamed: the target exists.", 409, "path")
        path.rename(target)
        self._in_policy.pop((flexvol.name, path.name), None)
        if (flexvol.name, path.name) in self._reserved:
            self._reserved.discard((flexvol.name, path.name))
            self._reserved.add((flexvol.name, name))

    def _delete(self, call: Call) -> Response:
        flexvol, path = self._path(call)
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self._reserved.discard((flexvol.name, path.name))
        self._in_policy.pop((flexvol.name, path.name), None)
        return wire.respond({})

    # Copies

    def _keep(self, flexvol: FlexVol, snapshot: FlexSnapshot) -> None:
        """Keep the files of a FlexVol as they are now."""
        folder = tempfile.TemporaryDirectory(prefix="flexvol-snapshot-")
        for path in self._paths(flexvol):
            if path.is_file() and not path.is_symlink():
                _copy(path, Path(folder.name) / path.name)
        self._kept[snapshot.uuid] = folder

    def _source(self, flexvol: FlexVol, path: str) -> Path:
        """Return a file of a FlexVol, or of one of its snapshots."""
        match = _IN_SNAPSHOT.fullmatch(path)
        if match is None:
            return self._place(flexvol.uuid, path)[1]
        for snapshot in flexvol.snapshots.values():
            if snapshot.name == match["snapshot"]:
                return Path(self._kept[snapshot.uuid].name) / match["name"]
        raise Refusal(917864, "The file handle of the source cannot be found.", 404)

    def _clone(self, call: Call) -> Response:
        body = call.body
        wire.only(
            body,
            "volume",
            "source_path",
            "destination_path",
            "overwrite_destination",
            "is_backup",
            "range",
            "autodelete",
            "qos_policy",
        )
        if not self.cloning_licensed():
            raise Refusal(NO_LICENCE, "FlexClone is not licensed in the cluster.")
        flexvol = self._flexvols.find(wire.text(body, "volume.uuid"))
        if wire.text(body, "volume.name", flexvol.name) != flexvol.name:
            raise Refusal(918236, "The uuid and the name are of different volumes.")
        source = self._source(flexvol, wire.text(body, "source_path"))
        _, target = self._place(flexvol.uuid, wire.text(body, "destination_path"))
        if not source.is_file():
            raise Refusal(917864, "The file handle of the source cannot be found.", 404)
        if target.exists() and not wire.flag(body, "overwrite_destination"):
            raise Refusal(13565956, "Clone destination file exists.", 409)
        self._need_space(flexvol, 0 if target.exists() else EXTENT)
        _copy(source, target)
        return accepted(self._state, call, "POST /api/storage/file/clone")

    def _copy(self, call: Call) -> Response:
        wire.only(call.body, "files_to_copy", "cutover_time", "hold_quiescence", "max_throughput", "reference_path")
        for pair in call.body.get("files_to_copy", []):
            source, target = self._end(pair, "source"), self._end(pair, "destination")
            if not source[1].is_file():
                raise Refusal(917864, "The file handle of the source cannot be found.", 404)
            self._need_space(target[0])
            _copy(source[1], target[1])
        return accepted(self._state, call, "POST /api/storage/file/copy", self._state.options.copy_seconds)

    def _end(self, pair: Record, which: str) -> tuple[FlexVol, Path]:
        flexvol = self._flexvols.find(wire.text(pair, f"{which}.volume.uuid"))
        return self._place(flexvol.uuid, wire.text(pair, f"{which}.path").partition("/")[2])

    def _need_space(self, flexvol: FlexVol, needed: int = 1) -> None:
        if needed and needed > self._state.free(flexvol.pool_id):
            raise no_space(flexvol.name)


def _form_data(content_type: str, raw: bytes) -> bytes:
    """Return the data of the one part of a form."""
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + raw)
    parts = message.get_payload()
    if not isinstance(parts, list) or len(parts) != 1:
        raise Refusal(262197, "The form has to have exactly one part.")
    data = parts[0].get_payload(decode=True)  # type: ignore[union-attr]
    return data if isinstance(data, bytes) else b""


def _generation(path: Path) -> int:
    """Return what tells a file from an earlier one of its inode number, where the file system has that."""
    if path.is_symlink() or not path.is_file():
        return 0
    with path.open("rb") as file:
        try:
            (found,) = struct.unpack("q", fcntl.ioctl(file.fileno(), _GET_GENERATION, b"\0" * 8))
        except OSError:
            return 0
        return int(found) & 0xFFFFFFFF


def _copy(source: Path, target: Path) -> None:
    """Let the target hold the source's bytes, blocks shared where the file system can, holes left out; its inode stays."""
    with source.open("rb") as origin, target.open("r+b" if target.exists() else "w+b") as copy:
        try:
            fcntl.ioctl(copy.fileno(), _FICLONE, origin.fileno())
        except OSError as trouble:
            if trouble.errno not in {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL}:
                raise
            os.ftruncate(copy.fileno(), 0)
            _copy_data(origin.fileno(), copy.fileno())
        os.ftruncate(copy.fileno(), os.fstat(origin.fileno()).st_size)


def _copy_data(origin: int, copy: int) -> None:
    end, at = os.fstat(origin).st_size, 0
    while at < end:
        try:
            at = os.lseek(origin, at, os.SEEK_DATA)
        except OSError as trouble:
            if trouble.errno == errno.ENXIO:
                return
            raise
        hole = os.lseek(origin, at, os.SEEK_HOLE)
        while at < hole:
            at += os.copy_file_range(origin, copy, hole - at, at, at)

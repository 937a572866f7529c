"""A file of an NFS share, read and written over the network without root or a mount: through the shared library libnfs."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from blockdrivers.errors import AttachError
from blockdrivers.model import Export, Host
from conformance.suite.relay import Relay, source

PORT = 2049
_LIBRARIES = ("libnfs.so.13", "libnfs.so.14", "libnfs.so.16")
_ANSWER_SECONDS = 10.0
_TEXT, _HANDLE, _NUMBER = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_uint64
_FUNCTIONS = {
    "nfs_init_context": ([], _HANDLE),
    "nfs_destroy_context": ([_HANDLE], None),
    "nfs_get_error": ([_HANDLE], _TEXT),
    "nfs4_set_client_name": ([_HANDLE, _TEXT], None),
    "nfs_parse_url_dir": ([_HANDLE, _TEXT], _HANDLE),
    "nfs_destroy_url": ([_HANDLE], None),
    "nfs_mount": ([_HANDLE, _TEXT, _TEXT], ctypes.c_int),
    "nfs_open": ([_HANDLE, _TEXT, ctypes.c_int, ctypes.POINTER(_HANDLE)], ctypes.c_int),
    "nfs_close": ([_HANDLE, _HANDLE], ctypes.c_int),
    "nfs_lseek": ([_HANDLE, _HANDLE, ctypes.c_int64, ctypes.c_int, ctypes.POINTER(_NUMBER)], ctypes.c_int),
    "nfs_pread": ([_HANDLE, _HANDLE, _NUMBER, _NUMBER, _HANDLE], ctypes.c_int),
    "nfs_pwrite": ([_HANDLE, _HANDLE, _NUMBER, _NUMBER, _HANDLE], ctypes.c_int),
    "nfs_fsync": ([_HANDLE, _HANDLE], ctypes.c_int),
}
_MOST_READ = 64 * 1024
_MOST_WRITTEN = 2048
"""Bytes in one request: libnfs 4.0 has no room for more in one that writes over NFSv4."""


@cache
def _library() -> ctypes.CDLL | None:
    for name in (*_LIBRARIES, ctypes.util.find_library("nfs")):
        try:
            library = ctypes.CDLL(name) if name else None
        except OSError:
            continue
        if library is not None:
            for function, (arguments, result) in _FUNCTIONS.items():
                getattr(library, function).argtypes, getattr(library, function).restype = arguments, result
            return library
    return None


def missing() -> str | None:
    """Return what this machine lacks, as a sentence; None where it has everything."""
    return (
        None
        if _library() is not None
        else "Files of NFS shares cannot be read from this machine without libnfs (Debian: libnfs13)."
    )


def answers(address: str) -> bool:
    """Tell whether somebody serves NFS at an address."""
    try:
        socket.create_connection((address, PORT), _ANSWER_SECONDS).close()
    except OSError:
        return False
    return True


class NfsFile:
    """An open file; one thread at a time.

    Args:
        location: ``server:/path/file``.
        addresses: of the host that it is opened as: the server sees one of them where this machine has one.
        writes: False opens it to be read only.
    """

    def __init__(self, location: str, addresses: Sequence[str] = (), *, writes: bool = True) -> None:
        library = _library()
        if library is None:
            raise AttachError(str(missing()))
        self._library = library
        server, _, path = location.partition(":/")
        folder, _, name = path.rpartition("/")
        chosen = source(addresses, (server, PORT))
        self._relay = None if chosen is None else Relay((server, PORT), chosen)
        self._context = library.nfs_init_context()
        self._file = _HANDLE()
        self._mode = os.O_RDWR if writes else os.O_RDONLY
        try:
            self._open(*((server, PORT) if self._relay is None else self._relay.address), folder, name)
        except BaseException:
            self.close()
            raise

    def _open(self, server: str, port: int, folder: str, name: str) -> None:
        library = self._library
        # Two clients of one name take each other's state away.
        library.nfs4_set_client_name(self._context, f"conformance-{secrets.token_hex(8)}".encode())
        url = f"nfs://{server}/{folder}?version=4&nfsport={port}"
        parsed = library.nfs_parse_url_dir(self._context, url.encode())
        self._checked(0 if parsed else -1, "parse the address of")
        library.nfs_destroy_url(parsed)
        self._checked(library.nfs_mount(self._context, server.encode(), f"/{folder}".encode()), "mount")
        self._checked(library.nfs_open(self._context, f"/{name}".encode(), self._mode, ctypes.byref(self._file)), "open")

    @property
    def size(self) -> int:
        """Bytes in the file, as the server has it now."""
        found = _NUMBER()
        done = self._library.nfs_lseek(self._context, self._file, 0, os.SEEK_END, ctypes.byref(found))
        self._checked(done, "look at")
        return int(found.value)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes as the server has them."""
        found = b""
        while len(found) < length:
            buffer = ctypes.create_string_buffer(min(_MOST_READ, length - len(found)))
            count = self._library.nfs_pread(self._context, self._file, offset + len(found), len(buffer), buffer)
            self._checked(count, "read")
            if count == 0:
                raise AttachError(f"The file ends at {offset + len(found)}.")
            found += buffer.raw[:count]
        return found

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes."""
        written = 0
        while written < len(data):
            piece = data[written : written + _MOST_WRITTEN]
            count = self._library.nfs_pwrite(self._context, self._file, offset + written, len(piece), piece)
            self._checked(count, "write to")
            written += count

    def flush(self) -> None:
        """Return when what was written is with the server for good."""
        self._checked(self._library.nfs_fsync(self._context, self._file), "flush")

    def close(self) -> None:
        """Close the file and the connection."""
        if self._file:
            self._library.nfs_close(self._context, self._file)
        self._library.nfs_destroy_context(self._context)
        if self._relay is not None:
            self._relay.close()

    def _checked(self, result: int, what: str) -> None:
        if result < 0:
            said = (self._library.nfs_get_error(self._context) or b"").decode(errors="replace")
            raise AttachError(f"libnfs could not {what} the file: {said} ({result}).")


@contextmanager
def opened(export: Export, host: Host) -> Iterator[NfsFile]:
    """Open what is exported as that host, for the length of a block."""
    assert export.location is not None, f"the export names no file: {export}"
    assert export.format == "raw", f"these checks read raw files, and this one is {export.format!r}"
    file = NfsFile(export.location, host.addresses)
    try:
        yield file
    finally:
        file.close()

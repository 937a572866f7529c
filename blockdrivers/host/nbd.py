"""A client of the Network Block Device protocol on a Unix socket: as much as reading and writing one export needs.

Source: the protocol's own description (doc/proto.md of the nbd project), fixed newstyle negotiation and simple replies.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_GREETING: Final = struct.Struct(">8s8sH")
_OPTION: Final = struct.Struct(">8sII")
_EXPORT: Final = struct.Struct(">QH")
_REQUEST: Final = struct.Struct(">IHHQQI")
_REPLY: Final = struct.Struct(">IIQ")

_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_EXPORT_NAME: Final = 1
_REQUEST_MAGIC: Final = 0x25609513
_REPLY_MAGIC: Final = 0x67446698
_READ, _WRITE, _DISCONNECT, _FLUSH, _WRITE_ZEROES = 0, 1, 2, 3, 6
MAX_TRANSFER: Final = 8 * 1024 * 1024
"""Bytes in one request; longer reads and writes are split."""


class NbdClient:
    """One export, used by one thread at a time; close it after use.

    Args:
        path: the server's Unix socket.
        name: of the export.
        timeout: seconds for each request.

    Raises:
        OSError: the server is not there, does not speak NBD, has no such export, or refused a request (with its `errno`).
    """

    def __init__(self, path: Path, name: str, *, timeout: float = 60.0) -> None:
        self._guard = threading.Lock()
        self._cookie = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
            self.size = self._negotiate(name)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Say good-bye and hang up; what was written and not flushed may be lost."""
        with self._guard, self._socket:
            try:
                self._socket.sendall(_REQUEST.pack(_REQUEST_MAGIC, 0, _DISCONNECT, 0, 0, 0))
            except OSError:
                return

    def read(self, offset: int, length: int) -> bytes:
        """Return that many bytes."""
        pieces = [self._ask(_READ, at, size, reply=size) for at, size in _split(offset, length)]
        return b"".join(pieces)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes; they are on the array for good after `flush`."""
        view = memoryview(data)
        for at, size in _split(offset, len(view)):
            self._ask(_WRITE, at, size, payload=view[at - offset : at - offset + size])

    def zero(self, offset: int, length: int) -> None:
        """Let that many bytes be zero, without sending them where the server can do that itself."""
        for at, size in _split(offset, length):
            self._ask(_WRITE_ZEROES, at, size)

    def flush(self) -> None:
        """Return when everything written before is kept for good."""
        self._ask(_FLUSH, 0, 0)

    def _negotiate(self, name: str) -> int:
        magic, option_magic, flags = _GREETING.unpack(self._receive(_GREETING.size))
        if magic != b"NBDMAGIC" or option_magic != b"IHAVEOPT" or not flags & _FIXED_NEWSTYLE:
            raise OSError(errno.EPROTO, "the server does not speak NBD with newstyle negotiation")
        wanted = name.encode()
        accepted = flags & (_FIXED_NEWSTYLE | _NO_ZEROES)
        self._socket.sendall(accepted.to_bytes(4, "big") + _OPTION.pack(b"IHAVEOPT", _EXPORT_NAME, len(wanted)) + wanted)
        size, _ = _EXPORT.unpack(self._receive(_EXPORT.size))
        if not flags & _NO_ZEROES:
            self._receive(124)
        return int(size)

    def _ask(self, command: int, offset: int, length: int, *, payload: bytes | memoryview = b"", reply: int = 0) -> bytes:
        with self._guard:
            self._cookie += 1
            self._socket.sendall(_REQUEST.pack(_REQUEST_MAGIC, 0, command, self._cookie, offset, length))
            self._socket.sendall(payload)
            magic, error, cookie = _REPLY.unpack(self._receive(_REPLY.size))
            if magic != _REPLY_MAGIC or cookie != self._cookie:
                raise OSError(errno.EPROTO, "the server answered something that was not asked")
            if error:
                raise OSError(error, os.strerror(error))
            return self._receive(reply)

    def _receive(self, count: int) -> bytes:
        received = bytearray(count)
        view, at = memoryview(received), 0
        while at < count:
            size = self._socket.recv_into(view[at:])
            if size == 0:
                raise ConnectionResetError(errno.ECONNRESET, "the server hung up")
            at += size
        return bytes(received)


def _split(offset: int, length: int) -> list[tuple[int, int]]:
    return [(at, min(MAX_TRANSFER, offset + length - at)) for at in range(offset, offset + length, MAX_TRANSFER)]

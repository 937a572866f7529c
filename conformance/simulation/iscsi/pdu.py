"""As much of iSCSI (RFC 7143, section 11) as a portal must know: who logs in, how to refuse, what discovery says."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

HEADER = 48
MAX_DATA = 1 << 20
"""More than any text that is exchanged at login or discovery."""

_LOGIN_REQUEST = 0x03
_LOGIN_RESPONSE = 0x23
_TEXT_RESPONSE = 0x24
_OPCODE = 0x3F
_NOT_FOUND = 0x0203


class NotIscsi(Exception):
    """What came is no PDU that may come here."""


@dataclass(frozen=True, slots=True)
class Pdu:
    """One protocol data unit without digests, as before and during discovery."""

    header: bytes
    data: bytes

    @property
    def opcode(self) -> int:
        """What it is, without the flag for immediate delivery."""
        return self.header[0] & _OPCODE

    @property
    def is_login(self) -> bool:
        """Whether it asks for a login."""
        return self.opcode == _LOGIN_REQUEST

    @property
    def is_text_response(self) -> bool:
        """Whether it answers a discovery."""
        return self.opcode == _TEXT_RESPONSE

    @property
    def texts(self) -> Mapping[str, str]:
        """The ``key=value`` pairs in its data."""
        pairs = (item.partition("=") for item in self.data.decode("utf-8", "replace").split("\0") if item)
        return {key: value for key, _, value in pairs}

    def encoded(self) -> bytes:
        """Return it as it goes over the wire."""
        padding = b"\0" * (-len(self.data) % 4)
        return self.header[:4] + b"\0" + len(self.data).to_bytes(3, "big") + self.header[8:] + self.data + padding


def read(receive: Callable[[int], bytes]) -> Pdu:
    """Read one PDU.

    Args:
        receive: returns exactly that many bytes, or raises `ConnectionError`.

    Raises:
        NotIscsi: it is longer than any that may come at login or discovery.
    """
    header = receive(HEADER)
    extra, length = header[4] * 4, int.from_bytes(header[5:8], "big")
    if length > MAX_DATA:
        raise NotIscsi(f"a PDU of {length} bytes")
    receive(extra)
    data = receive(length + -length % 4)[:length]
    return Pdu(header, data)


def target_not_found(login: Pdu) -> bytes:
    """Return the answer to a login whose initiator is to see nothing here."""
    task, command = login.header[16:20], int.from_bytes(login.header[24:28], "big")
    header = bytearray(HEADER)
    header[0] = _LOGIN_RESPONSE
    header[8:16] = login.header[8:16]
    header[16:20] = task
    header[24:36] = struct.pack(">III", 0, command, command)
    header[36:38] = _NOT_FOUND.to_bytes(2, "big")
    return Pdu(bytes(header), b"").encoded()


def discovery_answer(answer: Pdu, targets: Iterable[tuple[str, str]]) -> bytes:
    """Return a target's answer to a discovery with other targets in it: (IQN, portal)."""
    lines = (f"TargetName={name}\0TargetAddress={portal},1\0" for name, portal in targets)
    return Pdu(answer.header, "".join(lines).encode()).encoded()

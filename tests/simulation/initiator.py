"""Initiators of others: libiscsi's tools and qemu-io, each as any initiator name."""

from __future__ import annotations

import functools
import re
import socket
import subprocess

from conformance.simulation.dataplane import Access
from conformance.simulation.iscsi import pdu

MiB = 1024**2


def tool(*command: str, status: int | None = 0) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = ended.stdout + ended.stderr
    assert status is None or ended.returncode == status, said
    return said


def luns(portal: str, initiator: str) -> dict[str, dict[int, str]]:
    """Discover: IQN -> LUN -> size; LUN 0 is the controller's."""
    found: dict[str, dict[int, str]] = {}
    for line in tool("iscsi-ls", "-i", initiator, "-s", f"iscsi://{portal}", status=None).splitlines():
        if name := re.match(r"Target:(\S+) Portal:(\S+)", line):
            found[name[1]] = {}
        elif unit := re.match(r"Lun:(\d+) +Type:DIRECT_ACCESS \(Size:(\w+)\)", line):
            next(reversed(found.values()))[int(unit[1])] = unit[2]
    return found


def inquiry(portal: str, iqn: str, lun: int, initiator: str, page: int | None = None) -> dict[str, list[str]]:
    asked = [] if page is None else ["-e", "1", "-c", str(page)]
    said = tool("iscsi-inq", "-i", initiator, *asked, f"iscsi://{portal}/{iqn}/{lun}")
    fields: dict[str, list[str]] = {}
    for line in said.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key, []).append(value.strip(" []"))
    return fields


def naa(portal: str, iqn: str, lun: int, initiator: str) -> str:
    """Ask VPD page 0x83 in a session of our own, since libiscsi's tools cut the NAA designator off at its first zero byte."""
    host, _, port = portal.partition(":")
    keys = {"InitiatorName": initiator, "TargetName": iqn, "SessionType": "Normal"}
    login = bytearray(pdu.HEADER)
    login[0:2] = 0x43, 0x87  # login, at once; from operational negotiation to full feature phase
    login[8:14] = 0x00, 0x02, 0x3D, 0x00, 0x00, 0x01  # session id, which tgt wants to be other than zero
    command = bytearray(pdu.HEADER)
    command[0:2] = 0x01, 0xC1  # SCSI command; final, read, simple queue
    command[9], command[19], command[22] = lun, 1, 1  # LUN, task tag, 256 bytes expected
    command[32:38] = 0x12, 0x01, 0x83, 0x01, 0x00, 0x00  # INQUIRY, vital product data, page, length
    with socket.create_connection((host, int(port)), 10) as session:
        receive = functools.partial(_exactly, session)
        session.sendall(pdu.Pdu(bytes(login), "".join(f"{key}={value}\0" for key, value in keys.items()).encode()).encoded())
        answer = pdu.read(receive)
        assert answer.header[36:38] == b"\0\0", f"login refused: {answer.header[36:38].hex()}"
        session.sendall(pdu.Pdu(bytes(command), b"").encoded())
        page = pdu.read(receive).data
    at = 4
    while at < len(page):
        if page[at + 1] & 0x0F == 3 and page[at + 4] >> 4 == 6:
            return page[at + 4 : at + 4 + page[at + 3]].hex()
        at += 4 + page[at + 3]
    raise AssertionError(f"no NAA type 6 designator in {page.hex()}")


def _exactly(session: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        piece = session.recv(count - len(received))
        assert piece, "the session ended"
        received += piece
    return received


class Disk:
    """One LUN through qemu-io; every call is a session of its own."""

    def __init__(self, portal: str, iqn: str, lun: int, initiator: str, chap: tuple[str, str] | None = None):
        who = f",user={chap[0]},password={chap[1]}" if chap else ""
        self.options = f"driver=iscsi,transport=tcp,portal={portal},target={iqn},lun={lun},initiator-name={initiator}{who}"

    def io(self, *commands: str, status: int | None = 0) -> str:
        steps = [argument for command in commands for argument in ("-c", command)]
        return tool("qemu-io", "--image-opts", self.options, *steps, status=status)

    def write(self, pattern: int, at: int = 0, length: int = MiB) -> None:
        self.io(f"write -P {pattern} {at} {length}", "flush")

    def holds(self, pattern: int, at: int = 0, length: int = MiB) -> bool:
        return "Pattern verification failed" not in self.io(f"read -P {pattern} {at} {length}", status=None)


def access(host: str, wwn: str, lun: int, *initiators: str, chap: tuple[str, str] | None = None) -> Access:
    return Access(host, wwn, lun, initiators, chap)

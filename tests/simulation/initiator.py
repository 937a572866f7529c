"""Initiators of others: libiscsi's tools and qemu-io, each as any initiator name."""

from __future__ import annotations

import re
import subprocess

from conformance.simulation.dataplane import Access

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

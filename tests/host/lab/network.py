"""The private network of guest and arrays: in a network namespace of its own, so its addresses are nobody else's.

Source for the addresses: RFC 5737, TEST-NET-1.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess

from tests.host.lab.processes import LabError

HOST = "192.0.2.1"
GUEST = "192.0.2.2"
GUEST_MAC = "52:54:00:00:02:02"
PORTALS = ("192.0.2.11", "192.0.2.12")
"""Where the portals of a simulated array listen."""
TAP = "tap0"
"""The host's end of the guest's network card."""

_COMMAND_SECONDS = 20
_CLONE_NEWNET = 0x40000000


def leave() -> None:
    """Move this thread, and those and the processes that it starts from now on, into a new network namespace.

    It ends with the last of them.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise LabError(f"No network namespace could be made ({os.strerror(ctypes.get_errno())}): run `make test-host` as root.")


def bring_up() -> None:
    """Make the network that the guest is put in; refuse where there is one already, such as the machine's own."""
    if used := sorted(
        link["ifname"] for link in json.loads(_ip("-json", "address")) if link["addr_info"] and link["ifname"] != "lo"
    ):
        raise LabError(f"These tests need a network namespace of their own, and here is {', '.join(used)}: run `make test-host`.")
    _ip("link", "set", "lo", "up")
    _ip("tuntap", "add", "dev", TAP, "mode", "tap")
    _ip("link", "set", TAP, "up")
    for address in (HOST, *PORTALS):
        add_address(address)
    # Asked for while the guest boots, its MAC would be taken for unknown for seconds after it is up.
    _ip("neighbor", "replace", GUEST, "lladdr", GUEST_MAC, "dev", TAP, "nud", "permanent")


def add_address(address: str) -> None:
    """Give this side one more address that the guest can reach."""
    _ip("address", "add", f"{address}/24", "dev", TAP)


def _ip(*arguments: str) -> str:
    ended = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False)
    if ended.returncode:
        raise LabError(f"ip {' '.join(arguments)}: {ended.stderr.strip()}")
    return ended.stdout

"""What this machine is as a host: its initiators and addresses, through os-brick."""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import dataclass

from blockdrivers import deadline
from blockdrivers.errors import ConfigurationError
from blockdrivers.host import brick, multipath
from blockdrivers.model import Host

_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class HostFacts:
    """This machine, as arrays see it."""

    host: Host
    multipath: bool
    """Whether multipathd answers: attachments then use every path of a LUN."""
    architecture: str


def name() -> str:
    """Return what this machine is called where the caller does not say."""
    return socket.gethostname()


def this_host(called: str | None = None) -> HostFacts:
    """Return this machine's initiators and addresses; what it does not have is None or empty.

    Args:
        called: what the host is called; its host name where None.

    Raises `ConfigurationError` where this is not root, or os-brick is missing.
    """
    addresses = _addresses()
    with deadline.deadline(60.0, "reading this machine's initiators"):
        found = brick.call("facts", address=addresses[0] if addresses else None, multipath=multipath.is_running())
    host = Host(
        name=called or name(),
        iqn=found.get("initiator") or None,
        wwpns=tuple(wwpn.lower() for wwpn in found.get("wwpns") or ()),
        nqn=found.get("nqn") or None,
        addresses=tuple(addresses),
    )
    return HostFacts(host, bool(found.get("multipath")), str(found["platform"]))


def _addresses() -> list[str]:
    """Return the global addresses of this machine, IPv4 first."""
    try:
        ended = subprocess.run(
            ["ip", "-json", "address", "show", "scope", "global"],  # noqa: S607 - wherever the system keeps it
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as trouble:
        raise ConfigurationError(f"The addresses of this machine cannot be read: {trouble}; install iproute2.") from None
    # What is of another scope is an empty entry.
    found = [item for link in json.loads(ended.stdout or "[]") for item in link.get("addr_info", ()) if "local" in item]
    return [item["local"] for item in sorted(found, key=lambda item: item["family"] != "inet")]

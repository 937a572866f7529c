"""Loopback addresses for what has to listen at a certain port."""

from __future__ import annotations

import secrets


def own_address() -> str:
    """Return an address that hardly anything else on this machine uses, another test run included."""
    return f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(255)}.{secrets.randbelow(200) + 20}"

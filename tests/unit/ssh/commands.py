"""A command that only looks and one that changes something, and a way to end a connection in their midst."""

from __future__ import annotations

from blockdrivers.transport.command import command
from tests.unit.ssh.servers import Cut

LOOK, CHANGE = command("lsthing"), command("mkthing", "a")


def look(transport):
    return transport.run(LOOK, operation="lsthing", mutating=False)


def change(transport):
    return transport.run(CHANGE, operation="mkthing", mutating=True)


def cut():
    raise Cut

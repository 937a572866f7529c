"""Answers requests, one JSON object per line, several at a time; ends when the other side does."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .bridged import Bridged

_AT_ONCE = 16
_LOG = logging.getLogger("bridge")


class Channel:
    """The socket to the other side; lines are written whole."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._guard = threading.Lock()

    def lines(self) -> Any:
        """Return the requests as they come."""
        return self._socket.makefile("r", encoding="utf-8")

    def send(self, message: dict[str, Any]) -> None:
        """Write one message."""
        data = (json.dumps(message, default=str) + "\n").encode()
        with self._guard:
            self._socket.sendall(data)


class Forwarder(logging.Handler):
    """Hands what is logged here to the other side."""

    def __init__(self, channel: Channel, masked: Any) -> None:
        super().__init__()
        self._channel = channel
        self._masked = masked

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; a far end that has gone needs no log."""
        try:
            text = self._masked(self.format(record))
            self._channel.send({"log": [record.levelno, record.name, text]})
        except OSError:
            return


def serve(descriptor: int) -> None:
    """Serve until the other side closes the channel; then end this process and whatever a driver has started, at once."""
    os.set_inheritable(descriptor, False)
    channel = Channel(descriptor)
    bridged = Bridged(lambda masked: Forwarder(channel, masked))
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for line in channel.lines():
            threads.submit(_answer, channel, bridged, json.loads(line))
        bridged.end()
        os.killpg(0, signal.SIGKILL)


def _answer(channel: Channel, bridged: Any, request: dict[str, Any]) -> None:
    try:
        value = bridged.call(request["method"], request["arguments"])
        channel.send({"id": request["id"], "value": value})
    except BaseException as error:  # noqa: BLE001 - a vendor's driver may raise anything, SystemExit included
        _LOG.debug("%s failed", request["method"], exc_info=True)
        kinds = [kind.__name__ for kind in type(error).__mro__]
        channel.send({"id": request["id"], "error": {"kinds": kinds, "text": bridged.masked(str(error))}})

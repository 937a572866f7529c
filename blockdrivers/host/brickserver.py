"""os-brick in processes of its own: this one imports it once and forks a child for every request.

So the caller's process keeps its configuration, its memory and its threads to itself, many requests run at the same time, and one that
hangs can be ended, with the programs that it has started. Started by `blockdrivers.host.brick`; not to be imported elsewhere.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

Request = Mapping[str, Any]
Operations = Mapping[str, Callable[[Request], Any]]

READY = b"r"
REQUEST = b"q"
_MOST_SAID = 20


def main() -> None:
    """Serve until the caller closes the socket whose number is the first argument; the second is the lock folder."""
    calls = socket.socket(fileno=int(sys.argv[1]))
    operations = _set_up(sys.argv[2])
    # Nobody waits for the children: what they have to say goes to their own sockets.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    calls.sendall(READY)
    while True:
        message, descriptors, _, _ = socket.recv_fds(calls, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            calls.close()
            _serve(operations, socket.socket(fileno=descriptors[0]))
        os.close(descriptors[0])


def _serve(operations: Operations, connection: socket.socket) -> None:
    """Carry one request out, in a process group of its own."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        stream = connection.makefile("rwb")
        stream.write(json.dumps({"pid": os.getpid()}).encode() + b"\n")
        stream.flush()
        request = json.loads(stream.readline())
        threading.Thread(target=_end_with_caller, args=(connection,), daemon=True).start()
        connection.sendall(json.dumps(_answer(operations, request), default=str).encode() + b"\n")
    finally:
        os._exit(0)


def _end_with_caller(connection: socket.socket) -> None:
    connection.recv(1)
    # Whoever asked has ended, or has given up: nothing goes on in its name, nor do programs that were started meanwhile.
    os.killpg(0, signal.SIGKILL)


def _set_up(lock_folder: str) -> Operations:
    import os_brick  # noqa: PLC0415 - slow, and only in this process
    import os_brick.privileged  # noqa: PLC0415
    from os_brick.initiator import connector  # noqa: PLC0415
    from oslo_concurrency import lockutils  # noqa: PLC0415
    from oslo_config import cfg  # noqa: PLC0415

    cfg.CONF([], project="blockdrivers")
    lockutils.set_defaults(lock_folder)
    os_brick.setup(cfg.CONF)
    # This process is root's already: no daemon, no sudo.
    os_brick.privileged.default.set_client_mode(False)

    def facts(request: Request) -> Any:
        return connector.get_connector_properties(None, request["address"], request["multipath"], False)

    def of(request: Request) -> Any:
        return connector.InitiatorConnector.factory(
            request["protocol"], None, use_multipath=request["multipath"], **request.get("options", {})
        )

    return {
        "facts": facts,
        "connect": lambda request: of(request).connect_volume(request["properties"]),
        "disconnect": lambda request: of(request).disconnect_volume(
            request["properties"], request.get("info"), force=request["force"], ignore_errors=request["force"]
        ),
    }


class _Said(logging.Handler):
    """Keeps os-brick's last warnings, for whoever asked."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines = [*self.lines, record.getMessage()][-_MOST_SAID:]


def _answer(operations: Operations, request: Request) -> dict[str, Any]:
    said = _Said()
    logging.basicConfig(handlers=[said], level=logging.WARNING, force=True)
    try:
        answer = {"result": operations[request["do"]](request)}
    except Exception as trouble:  # noqa: BLE001 - told to whoever asked
        answer = {"error": type(trouble).__name__, "message": str(trouble)}
    return answer | {"said": said.lines}


if __name__ == "__main__":
    main()

"""os-brick in a process of its own: reads one request a line, answers one line each, and ends with whoever started it.

So the caller's process keeps its configuration, its memory and its threads to itself, and a connector that hangs can be ended.
Started by `blockdrivers.host.brick`; not to be imported by anything else.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

Request = Mapping[str, Any]

_MOST_SAID = 20


class _Said(logging.Handler):
    """Keeps os-brick's last warnings, for the one who asked."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines = [*self.lines, record.getMessage()][-_MOST_SAID:]


def main() -> None:
    """Serve requests until the other side of standard input closes."""
    lock_folder = sys.argv[1]
    # What os-brick or its children print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    said = _Said()
    logging.basicConfig(handlers=[said], level=logging.WARNING)
    operations = _set_up(lock_folder)
    print(json.dumps({"ready": True}), file=answers)
    while True:
        request = json.loads(requests.get())
        said.lines = []
        print(json.dumps(_answer(operations, request) | {"said": said.lines}, default=str), file=answers)


def _listen(requests: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    # Whoever started this has ended: nothing goes on in its name, nor do programs that were started meanwhile.
    os.killpg(0, signal.SIGKILL)


def _set_up(lock_folder: str) -> Mapping[str, Callable[[Request], Any]]:
    import os_brick  # noqa: PLC0415 - slow, and what it prints has to be caught
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
        "extend": lambda request: of(request).extend_volume(request["properties"]),
    }


def _answer(operations: Mapping[str, Callable[[Request], Any]], request: Request) -> dict[str, Any]:
    try:
        return {"result": operations[request["do"]](request)}
    except Exception as trouble:  # noqa: BLE001 - told to the one who asked
        return {"error": type(trouble).__name__, "message": str(trouble)}


if __name__ == "__main__":
    main()

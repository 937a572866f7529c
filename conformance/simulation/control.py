"""The control API of a simulator: JSON over loopback HTTP, for tests that want faults, counters and the array's state."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from conformance.simulation.counters import Counters
from conformance.simulation.family import Family
from conformance.simulation.faults import FaultPlan


class Paths(Protocol):
    """The portals of a data plane."""

    def paths(self) -> Mapping[str, bool]:
        """Return which are up."""
        ...

    def set_path(self, portal: str, *, up: bool) -> None:
        """Cut or heal one."""
        ...


class Controlled(Protocol):
    """What the control API works on."""

    family: Family
    faults: FaultPlan
    counters: Counters
    latency_seconds: float

    @property
    def plane(self) -> Paths | None:
        """What serves the LUNs; None where nothing does."""
        ...

    def sync_faults(self) -> None:
        """Let standing faults (a full pool) take effect, or end."""
        ...

    def reset(self) -> None:
        """Become a new array without faults, with counters at zero."""
        ...


class ControlApi:
    """Serves the control API of one array on a loopback port."""

    def __init__(self, array: Controlled) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.routes = _routes(array)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="control", daemon=True)

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


Route = Callable[[Any], Any]


def _routes(array: Controlled) -> Mapping[tuple[str, str], Route]:
    def latency(body: Any) -> Any:
        array.latency_seconds = float(body["ms"]) / 1000
        return {"ms": array.latency_seconds * 1000}

    def licence(body: Any) -> Any:
        for feature, state in body.items():
            array.family.set_licence(str(feature), bool(int(state)))
        return body

    def fabric(body: Any) -> Any:
        array.family.set_fabric([str(wwpn).lower() for wwpn in body["wwpns"]])
        return body

    def add_fault(body: Any) -> Any:
        fault = array.faults.add(body)
        array.sync_faults()
        return fault.as_dict()

    def clear_faults(_: Any) -> Any:
        array.faults.clear()
        array.sync_faults()
        return {}

    def nothing(step: Callable[[], None]) -> Route:
        def run(_: Any) -> Any:
            step()
            return {}

        return run

    return {
        ("GET", "/counters"): lambda _: array.counters.as_dict(),
        ("DELETE", "/counters"): nothing(array.counters.clear),
        ("PUT", "/latency"): latency,
        ("PUT", "/licence"): licence,
        ("PUT", "/fabric"): fabric,
        ("GET", "/faults"): lambda _: [fault.as_dict() for fault in array.faults.active()],
        ("POST", "/faults"): add_fault,
        ("DELETE", "/faults"): clear_faults,
        ("GET", "/state"): lambda _: array.family.state(),
        ("GET", "/log"): lambda _: array.counters.entries(),
        ("POST", "/reset"): nothing(array.reset),
        **_path_routes(array),
    }


def _path_routes(array: Controlled) -> Mapping[tuple[str, str], Route]:
    def paths(_: Any) -> Any:
        return {} if array.plane is None else array.plane.paths()

    def set_path(body: Any) -> Any:
        if array.plane is None:
            raise ValueError("this array has no data plane")
        array.plane.set_path(str(body["portal"]), up=bool(body["up"]))
        return array.plane.paths()

    return {("GET", "/paths"): paths, ("PUT", "/paths"): set_path}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    routes: Mapping[tuple[str, str], Route]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        route = self.server.routes.get((self.command, self.path.rstrip("/")))
        if route is None:
            known = ", ".join(" ".join(key) for key in self.server.routes)
            return self._answer(404, {"error": f"there is no {self.command} {self.path}; there is {known}"})
        try:
            return self._answer(200, route(json.loads(body) if body.strip() else {}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self._answer(400, {"error": f"{type(error).__name__}: {error}"})

    def __getattr__(self, name: str) -> Any:
        if name in {"do_GET", "do_POST", "do_PUT", "do_DELETE"}:
            return self._serve
        raise AttributeError(name)

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

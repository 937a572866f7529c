"""The array's side of an FC target: tells the service of `lio` what the array's ports are to show."""

from __future__ import annotations

import contextlib
import http
import http.client
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from conformance.simulation.fc.lio import Lun

_log = logging.getLogger(__name__)

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 120.0


class FabricError(Exception):
    """The FC target refused something, or did not answer."""


class FabricAbsent(FabricError):
    """There is no FC target: the machine is off, and so is every host in it."""


@dataclass(frozen=True, slots=True)
class FcTarget:
    """Where an array's LUNs are served over FC."""

    url: str
    """Of the service, such as ``http://192.0.2.2:7000``."""
    ports: tuple[str, ...]
    """WWPNs of those of its target ports that are this array's, one per controller in turn."""
    share: Path
    """The folder here that the service knows as its folder of files."""


class Fabric:
    """The FC ports of one array. They must be there at first; later their machine may be off, and is told again afterwards."""

    def __init__(self, target: FcTarget) -> None:
        self._target = target
        self._shown: list[Lun] | None = None
        with self._connected() as connection:
            known = self._ask(connection, "GET", "/ports", {})
        if unknown := sorted(set(target.ports) - set(known)):
            raise FabricError(f"The FC target at {target.url} has no port {', '.join(unknown)}; it has {', '.join(known)}.")

    @property
    def ports(self) -> tuple[str, ...]:
        """WWPNs of the ports."""
        return self._target.ports

    def show(self, luns: Sequence[Lun], *, again: bool = False) -> None:
        """Let the ports show exactly these LUNs; they do when this returns. `again` tells a target that may have forgotten."""
        if again or luns != self._shown:
            self._shown = None
            if self._put("/luns", {"ports": self.ports, "luns": [asdict(lun) for lun in luns]}):
                self._shown = list(luns)

    def set_port(self, wwpn: str, *, up: bool) -> None:
        """Cut or heal one port."""
        self._put("/ports", {"port": wwpn, "up": up})

    @contextlib.contextmanager
    def frozen(self, wwns: Iterable[str]) -> Iterator[None]:
        """Hold the hosts' reads and writes of these for a moment; every write that was answered is in its file."""
        held = sorted({lun.wwn for lun in self._shown or ()} & set(wwns))
        with contextlib.ExitStack() as stack:
            if held:
                try:
                    # The service lets go when the connection ends: a dead array holds nobody up.
                    connection = stack.enter_context(self._connected())
                    self._ask(connection, "PUT", "/frozen", {"wwns": held})
                    stack.callback(self._thaw, connection)
                except FabricAbsent as trouble:
                    _log.warning("%s", trouble)
            yield

    def file(self, path: Path) -> str | None:
        """Return how the service names a file; None where the file is outside what it can see."""
        return str(path.relative_to(self._target.share)) if path.is_relative_to(self._target.share) else None

    def _thaw(self, connection: http.client.HTTPConnection) -> None:
        with contextlib.suppress(FabricAbsent):
            self._ask(connection, "PUT", "/frozen", {"wwns": []})

    def _put(self, path: str, content: Mapping[str, Any]) -> bool:
        """Tell the service; return whether it is there."""
        try:
            with self._connected() as connection:
                self._ask(connection, "PUT", path, content)
        except FabricAbsent as trouble:
            _log.warning("%s", trouble)
            return False
        return True

    @contextlib.contextmanager
    def _connected(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(urlsplit(self._target.url).netloc, timeout=_CONNECT_SECONDS)
        with contextlib.closing(connection):
            try:
                connection.connect()
            except OSError as trouble:
                raise FabricAbsent(f"There is no FC target at {self._target.url}: {trouble}") from trouble
            connection.sock.settimeout(_ANSWER_SECONDS)
            yield connection

    def _ask(self, connection: http.client.HTTPConnection, method: str, path: str, content: Mapping[str, Any]) -> Any:
        try:
            connection.request(method, path, json.dumps(content))
            answer = connection.getresponse()
            said = answer.read()
        except TimeoutError as trouble:
            raise FabricError(f"The FC target at {self._target.url} did not answer {method} {path} in time.") from trouble
        except (OSError, http.client.HTTPException) as trouble:
            raise FabricAbsent(f"The FC target at {self._target.url} ended during {method} {path}: {trouble}") from trouble
        if answer.status != http.HTTPStatus.OK:
            raise FabricError(f"The FC target at {self._target.url} refused {method} {path}: {said.decode(errors='replace')}")
        return json.loads(said)

"""The process in which a Cinder driver runs: started at the first call, asked over a socket, ended with the backend.

A process of its own, in whatever environment the cinder package lives: Cinder's hundred and more packages, its process-wide
configuration and its habit of patching the standard library stay out of the caller; a driver that hangs, leaks or ends its process
harms nobody else; and a vendor's driver is tried in the environment that the vendor delivers it for.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from blockdrivers import deadline
from blockdrivers.errors import Ambiguous, ConfigurationError, DeadlineExceeded
from blockdrivers.integrations.cinderbridge.options import CinderDriverOptions
from blockdrivers.integrations.cinderbridge.refusals import error_of

_WORKER = Path(__file__).with_name("worker")
_LAST_WORDS = 1500
_PATIENCE = 600.0
"""Seconds for a call that has no deadline."""

_log = logging.getLogger("blockdrivers.cinder")


class DriverProcess:
    """Calls methods of the worker, many at a time; a worker that has died is started again by the next call."""

    def __init__(self, options: CinderDriverOptions, name: str) -> None:
        self._options = options
        self._name = name
        self._guard = threading.Lock()
        self._worker: _Worker | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._closed = False

    def call(self, method: str, **arguments: Any) -> Any:
        """Carry out one request and return its answer, within the current deadline."""
        left = deadline.remaining(_PATIENCE)
        future = self._running().ask(method, arguments)
        try:
            answer = future.result(timeout=left)
        except FutureTimeoutError:
            deadline.note("the Cinder driver was still at it, and goes on by itself")
            # With a deadline, this raises the error that tells what was noted.
            deadline.remaining(_PATIENCE)
            raise DeadlineExceeded(f"The Cinder driver of {self._name} did not end {method} within {left:g} s.") from None
        if "error" in answer:
            raised = answer["error"]
            raise error_of(raised["kinds"], raised["text"], array=self._name, request=method)
        return answer["value"]

    def close(self) -> None:
        """End the process and forget what it kept for itself only."""
        with self._guard:
            self._closed = True
            if self._worker is not None:
                self._worker.end()
            if self._folder is not None:
                self._folder.cleanup()

    def _running(self) -> _Worker:
        with self._guard:
            if self._closed:
                raise ConfigurationError(f"The backend {self._name} was closed.")
            if self._worker is None or self._worker.has_ended:
                self._worker = _Worker(self._options, self._records(), self._name)
            return self._worker

    def _records(self) -> Path:
        if self._options.records is not None:
            self._options.records.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self._options.records
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="blockdrivers-cinder-")
        return Path(self._folder.name)


class _Worker:
    def __init__(self, options: CinderDriverOptions, records: Path, name: str) -> None:
        self._name = name
        self._python = options.python
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter of the configuration, and this package's own program
                [str(self._python), str(_WORKER), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._socket = ours
        self._sending = threading.Lock()
        self._waiting: dict[int, Future[Mapping[str, Any]]] = {}
        self._next = 0
        self.has_ended = False
        threading.Thread(target=self._read, name=f"cinder-{name}", daemon=True).start()
        self.ask(
            "configure",
            {
                "driver": options.driver,
                "config": str(options.config),
                "section": options.section,
                "folder": str(records),
                "overrides": {key: value.get_secret_value() for key, value in options.overrides.items()},
                "extra_specs": dict(options.extra_specs),
                "node": None if options.node is None else options.node.model_dump(),
            },
        )

    def ask(self, method: str, arguments: Mapping[str, Any]) -> Future[Mapping[str, Any]]:
        """Send one request; its future holds the answer, or `Ambiguous` when the process ends before it."""
        future: Future[Mapping[str, Any]] = Future()
        with self._sending:
            self._next += 1
            number = self._next
            self._waiting[number] = future
            data = json.dumps({"id": number, "method": method, "arguments": arguments}) + "\n"
            try:
                self._socket.sendall(data.encode())
            except OSError:
                self._waiting.pop(number, None)
                future.set_exception(self._lost())
            if self.has_ended and self._waiting.pop(number, None) is not None:
                future.set_exception(self._lost())
        return future

    def end(self) -> None:
        """End the process and all that it started."""
        self._socket.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self) -> None:
        with suppress(OSError, ValueError), self._socket.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                self._take(json.loads(line))
        self.has_ended = True
        error = self._lost()
        with self._sending:
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_exception(error)

    def _take(self, message: Mapping[str, Any]) -> None:
        if "log" in message:
            level, logger, text = message["log"]
            _log.log(level, "%s: %s: %s", self._name, logger, text)
            return
        future = self._waiting.pop(int(message["id"]), None)
        if future is not None:
            future.set_result(message)

    def _lost(self) -> Ambiguous | ConfigurationError:
        try:
            status: int | None = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            status = None
        words = self._last_words()
        if "No module named 'cinder'" in words:
            return ConfigurationError(
                f"{self._python} has no cinder package; name the interpreter of an environment that has it "
                "(option python, or the environment variable BLOCKDRIVERS_CINDER_VENV)."
            )
        how = "does not answer" if status is None else f"ended with status {status}"
        return Ambiguous(f"The process of the Cinder driver {how}. It said last: {words or 'nothing'}", array=self._name)

    def _last_words(self) -> str:
        try:
            end = os.fstat(self._said.fileno()).st_size
            return os.pread(self._said.fileno(), _LAST_WORDS, max(0, end - _LAST_WORDS)).decode(errors="replace").strip()
        except ValueError:
            return ""

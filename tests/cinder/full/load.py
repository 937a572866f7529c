"""Users of a cloud whose services die under their hands: what they ask for, and what they may rely on afterwards."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.cinder.lab.api import Answer, Api
from tests.cinder.lab.cloud import connector, lun

PIECE = 64 * 1024
_OUTAGE_SECONDS = 60.0
_PATIENCE_SECONDS = 40.0


class Broken(Exception):
    """A request ended in error, or not at all: so may every request while services are killed."""


class Steady(Api):
    """A client that asks again while the API's process is gone."""

    def ask(self, *args: Any, **more: Any) -> Answer:
        """Send one request; again where nobody listens, or the answer was lost."""
        ends = time.monotonic() + _OUTAGE_SECONDS
        while True:
            try:
                return super().ask(*args, **more)
            except requests.RequestException as error:
                if time.monotonic() > ends:
                    raise Broken(f"the API does not come back: {error}") from error
                time.sleep(0.3)


@dataclass
class Book:
    """What users have been told.

    Attributes:
        kept: volume id -> the bytes that were written to it, and flushed, and that nobody has asked to delete since.
        deleted: ids of volumes that were told to be gone.
        broken: what ended in error, in words.
        done: how many requests came true, by what was asked for.
    """

    kept: dict[str, bytes] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """Write down that something came true."""
        with self.guard:
            self.done[what] = self.done.get(what, 0) + 1


class User(threading.Thread):
    """One user: makes volumes, writes, snapshots, copies, and deletes about half of them, until told to stop."""

    def __init__(self, number: int, root: str, book: Book, over: threading.Event) -> None:
        super().__init__(name=f"user-{number}")
        self._api, self._book, self._over = Steady(root), book, over
        self._host, self._random = f"cmp{number:02}", random.Random(number)
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Live."""
        try:
            while not self._over.is_set():
                with self._forgiving():
                    self._life()
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for this thread
            self.failure = error

    def _life(self) -> None:
        data = self._random.randbytes(PIECE)
        volume = self._made("volume", {"size": 1})
        self._write(volume, data)
        snapshot = self._made("snapshot", {"volume_id": volume})
        copy = self._made("volume", {"size": 1, "snapshot_id": snapshot})
        with self._book.guard:
            self._book.kept[copy] = data
        self._remove("snapshot", snapshot)
        if self._random.random() < 0.5:
            self._remove("volume", copy)
        if self._random.random() < 0.5:
            self._remove("volume", volume)

    def _made(self, kind: str, wanted: dict[str, Any]) -> str:
        made = self._accepted("POST", f"/{kind}s", {kind: wanted})
        identifier = str(made[kind]["id"])
        self._awaited(kind, identifier, "available")
        self._book.count(f"{kind} made")
        return identifier

    def _remove(self, kind: str, identifier: str) -> None:
        with self._book.guard:
            self._book.kept.pop(identifier, None)
        self._accepted("DELETE", f"/{kind}s/{identifier}")
        self._awaited(kind, identifier, None)
        with self._book.guard:
            self._book.deleted.add(identifier)
        self._book.count(f"{kind} deleted")

    def _write(self, volume: str, data: bytes) -> None:
        who = connector(self._host)
        body = {"attachment": {"volume_uuid": volume, "connector": who}}
        made = self._accepted("POST", "/attachments", body, micro="3.54")["attachment"]
        self._accepted("POST", f"/attachments/{made['id']}/action", {"os-complete": {}}, micro="3.44")
        with lun(made["connection_info"], who["initiator"]) as client:
            client.write(0, data)
            client.flush()
        with self._book.guard:
            self._book.kept[volume] = data
        self._book.count("attached and written")
        self._accepted("DELETE", f"/attachments/{made['id']}", micro="3.27")
        self._awaited("volume", volume, "available")
        self._book.count("detached")

    def _accepted(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        answer = self._api.ask(method, path, body, **more)
        if answer.status >= 300:
            raise Broken(f"{method} {path}: {answer.status} {answer.body}")
        return answer.body

    def _awaited(self, kind: str, identifier: str, wanted: str | None) -> None:
        """Return once an object is in a state, or gone."""
        ends = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < ends:
            answer = self._api.ask("GET", f"/{kind}s/{identifier}")
            state = answer.body[kind]["status"] if answer.status < 300 else None
            if state == wanted:
                return
            if state is None or "error" in state:
                break
            time.sleep(0.2)
        raise Broken(f"{kind} {identifier} is {state}, not {wanted or 'gone'}")

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except (Broken, OSError) as error:
            with self._book.guard:
                self._book.broken.append(f"{self.name}: {error}")

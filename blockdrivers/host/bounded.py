"""Calls into the kernel that may take as long as a dead path or server likes, with an end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def bounded(call: Callable[[], T], seconds: float) -> T:
    """Return what a call returns, or raise what it raises; raise `TimeoutError` when neither happens in time.

    The call is then left behind in a thread of its own: the kernel lets nobody end it.
    """
    ended: Future[T] = Future()

    def run() -> None:
        try:
            ended.set_result(call())
        except BaseException as trouble:  # noqa: BLE001 - raised where it is awaited
            ended.set_exception(trouble)

    threading.Thread(target=run, name="bounded", daemon=True).start()
    try:
        return ended.result(seconds)
    except TimeoutError:
        raise TimeoutError(f"no answer within {seconds:g} s") from None

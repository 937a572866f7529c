"""What a run is pointed at, in a form that child processes and third parties can be given: one JSON file."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from blockdrivers.backend import Backend
from blockdrivers.model import Chap, Host, Protocol
from conformance.target import Target

Opener = Callable[[Path, str], Backend]

DEFAULT_OPENER = "blockdrivers.config:open_backend"


@dataclass(frozen=True, slots=True)
class Settings:
    """A target and how its backend is opened.

    Attributes:
        target: what is tested.
        opener: ``module:function`` that opens a backend from a configuration file and a name; the tests of the suite itself
            put a sabotaged one here.
    """

    target: Target
    opener: str = DEFAULT_OPENER

    def open(self) -> Backend:
        """Open a backend of its own, as a new process of a volume service would."""
        return self.open_as(self.target.config, self.target.backend)

    def open_as(self, config: Path, backend: str) -> Backend:
        """Open a backend from another configuration file, such as one with a wrong password."""
        module, _, function = self.opener.partition(":")
        opener = cast("Opener", getattr(importlib.import_module(module), function))
        return opener(config, backend)

    def to_json(self) -> str:
        """Return the settings as JSON text; it holds the hosts' CHAP secrets, so keep it private."""
        plain = asdict(self.target)
        plain["config"] = str(self.target.config)
        return json.dumps({"target": plain, "opener": self.opener}, ensure_ascii=False, indent=1)


def from_json(text: str) -> Settings:
    """Read what `Settings.to_json` wrote, or a person did."""
    plain = json.loads(text)
    return Settings(_target(plain["target"]), plain.get("opener") or DEFAULT_OPENER)


def _target(plain: dict[str, Any]) -> Target:
    return Target(
        config=Path(plain["config"]),
        backend=plain["backend"],
        protocol=Protocol(plain["protocol"]),
        pool=plain["pool"],
        other_pool=plain.get("other_pool"),
        hosts=tuple(_host(host) for host in plain["hosts"]),
        control=plain.get("control"),
        model=plain.get("model", ""),
        attach=plain.get("attach", False),
    )


def _host(plain: dict[str, Any]) -> Host:
    chap = plain.get("chap")
    return Host(
        name=plain["name"],
        iqn=plain.get("iqn"),
        wwpns=tuple(plain.get("wwpns") or ()),
        nqn=plain.get("nqn"),
        addresses=tuple(plain.get("addresses") or ()),
        chap=Chap(chap["username"], chap["secret"]) if chap else None,
    )

"""Finding adapters: the in-tree families and anybody else's distributions come through the same door.

A plugin is what an entry point of the group ``blockdrivers.adapters`` names: a module (or object) that implements the hook
`blockdrivers_adapters`. It is imported at the first look-up; what it points at (driver, simulator) only when it is used.
"""

from __future__ import annotations

import difflib
import importlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from blockdrivers.errors import ConfigurationError, InvalidRequest
from blockdrivers.model import Protocol

GROUP = "blockdrivers.adapters"

hookspec = pluggy.HookspecMarker("blockdrivers")
hookimpl = pluggy.HookimplMarker("blockdrivers")


@dataclass(frozen=True, slots=True)
class Adapter:
    """One management protocol and the models that speak it.

    `config`, `driver` and `simulator` are ``module:attribute`` texts, imported when they are needed.
    """

    name: str
    """How configurations call it, such as ``huawei-oceanstor``."""
    vendor: str
    title: str
    models: tuple[str, ...]
    """As the compatibility matrix spells them."""
    protocols: frozenset[Protocol]
    config: str
    """A pydantic model: the options of a backend."""
    driver: str
    """``(options, name) -> Driver``; sends nothing yet."""
    simulator: str | None = None
    """``(model, **options) -> a simulated array``; None where there is no simulator."""

    def load_config(self) -> Any:
        """Return the pydantic model of its options."""
        return _load(self.config, self)

    def load_driver(self) -> Any:
        """Return the function that makes its driver."""
        return _load(self.driver, self)

    def load_simulator(self) -> Any:
        """Return the function that builds its simulator, or raise `ConfigurationError` where it has none."""
        if self.simulator is None:
            raise ConfigurationError(f"The adapter {self.name!r} has no simulator.")
        return _load(self.simulator, self)


class Hooks:
    """What a plugin implements."""

    @hookspec
    def blockdrivers_adapters(self) -> Iterable[Adapter]:
        """Return the plugin's adapters."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Found:
    adapters: Mapping[str, Adapter]
    broken: Mapping[str, str]


_guard = threading.Lock()
_found: _Found | None = None


def adapters() -> Mapping[str, Adapter]:
    """Return every adapter by name; a plugin that cannot be imported is left out, see `broken`."""
    return _discovered().adapters


def broken() -> Mapping[str, str]:
    """Return plugins that could not be used: entry point and distribution -> why."""
    return _discovered().broken


def find_adapter(name: str) -> Adapter:
    """Return the adapter of that name, or raise `ConfigurationError` that names near ones and broken plugins."""
    known = adapters()
    if name in known:
        return known[name]
    failed = "".join(f" The plugin {plugin} is broken: {why}." for plugin, why in broken().items())
    raise ConfigurationError(f"There is no adapter {name!r}; {_near(name, known)}.{failed}")


def find_model(model: str) -> Adapter:
    """Return the adapter that serves a model; see `served_model`."""
    return served_model(model)[0]


def served_model(model: str) -> tuple[Adapter, str]:
    """Return the adapter that serves a model, and the model as that adapter spells it.

    Spaces and capitals do not matter, and any name that the compatibility list has for the model will do. `InvalidRequest` names near
    ones, or, where the list does not know what the model speaks, how to find out.
    """
    from blockdrivers import matrix  # noqa: PLC0415 - the list is read only when models are asked for

    known = {_folded(served): (adapter, served) for adapter in adapters().values() for served in adapter.models}
    if (hit := known.get(_folded(model))) is not None:
        return hit
    rows = matrix.load().find(model)
    for name in (name for row in rows for name in (row.model, *row.aliases)):
        if (hit := known.get(_folded(name))) is not None:
            return hit
    if (probe := next((row.probe for row in rows if row.probe), None)) is not None:
        raise InvalidRequest(
            f"Nothing public tells what the model {model!r} speaks. `blockdrivers doctor` with the adapter {probe} only reads, and tells "
            "whether it is that."
        )
    near = _near(model, [served for _, served in known.values()])
    raise InvalidRequest(f"No adapter serves the model {model!r}; {near}.")


def forget() -> None:
    """Look for plugins again at the next call."""
    global _found  # noqa: PLW0603
    with _guard:
        _found = None


def _discovered() -> _Found:
    global _found  # noqa: PLW0603
    with _guard:
        if _found is None:
            _found = _discover(entry_points(group=GROUP))
        return _found


def _discover(points: Iterable[EntryPoint]) -> _Found:
    manager = pluggy.PluginManager("blockdrivers")
    manager.add_hookspecs(Hooks)
    known: dict[str, Adapter] = {}
    broken: dict[str, str] = {}
    for point in points:
        label = f"{point.name} of {point.dist.name if point.dist else 'an unknown distribution'}"
        try:
            plugin = point.load()
            manager.register(plugin, name=label)
            offered = list(plugin.blockdrivers_adapters())
        except Exception as error:  # noqa: BLE001 - anything can be wrong with a plugin, and the others must go on
            broken[label] = f"{type(error).__name__}: {error}"
            continue
        for adapter in offered:
            if adapter.name in known:
                broken[label] = f"its adapter {adapter.name!r} is there already"
            else:
                known[adapter.name] = adapter
    return _Found(known, broken)


def _load(path: str, adapter: Adapter) -> Any:
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"The adapter {adapter.name!r} cannot load {path!r}: {error}.") from error


def _near(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names
    return f"there is {', '.join(near)}" if near else "none is installed"


def spelled(model: str, models: Iterable[str]) -> str | None:
    """Return the one of these models that is meant, however it is spaced or capitalised; None where it is none of them."""
    return next((known for known in models if _folded(known) == _folded(model)), None)


def _folded(model: str) -> str:
    return "".join(model.split()).casefold()

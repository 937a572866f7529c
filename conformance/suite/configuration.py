"""The backend configuration file as the suite sees it: what to falsify, and what must never be seen elsewhere."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from blockdrivers.errors import ConfigurationError
from blockdrivers.plugins import find_adapter
from conformance.suite.settings import Settings

_SECRET_KEY = re.compile(r"password|secret|token", re.IGNORECASE)
_SHORTEST_SECRET = 4


def options(settings: Settings) -> dict[str, Any]:
    """Return the adapter's options of the tested backend, as the file has them."""
    return dict(_read(settings)["backends"][settings.target.backend].get("options") or {})


def addresses(settings: Settings) -> int:
    """Return how many controller addresses are configured."""
    found = options(settings).get("addresses")
    return len(found) if isinstance(found, list) else 1


def secrets(settings: Settings) -> list[str]:
    """Return the secrets that stand in the configuration, and those of the hosts."""
    configured = [value for _, _, value in _secret_entries(options(settings))]
    chap = [host.chap.secret for host in settings.target.hosts if host.chap]
    return [text for text in [*configured, *chap] if len(text) >= _SHORTEST_SECRET]


def verifies_tls(settings: Settings) -> bool:
    """Tell whether the backend verifies the array against a CA file that a check can replace."""
    tls = options(settings).get("tls")
    return isinstance(tls, dict) and bool(tls.get("ca_file"))


def is_over_ssh(settings: Settings) -> bool:
    """Tell whether the backend's management goes over SSH: its adapter knows host keys, and nothing is said of TLS."""
    found = options(settings)
    try:
        fields = find_adapter(str(_read(settings)["backends"][settings.target.backend].get("adapter"))).load_config().model_fields
    except ConfigurationError:
        fields = {}
    return "tls" not in found and ("host_keys" in found or "host_keys" in fields)


def verifies_host_keys(settings: Settings) -> bool:
    """Tell whether the backend verifies the array's SSH host key."""
    host_keys = options(settings).get("host_keys") or {}
    return is_over_ssh(settings) and host_keys.get("verify", True) is not False


def with_secret(settings: Settings, folder: Path, secret: str) -> Path:
    """Write a configuration in which every password is `secret`; return its path."""

    def falsify(found: dict[str, Any]) -> None:
        for holder, key, _ in _secret_entries(found):
            holder[key] = secret

    return _variant(settings, folder / "other-secret.yaml", falsify)


def with_ca_file(settings: Settings, folder: Path, ca_file: Path) -> Path:
    """Write a configuration that trusts only another CA; return its path."""

    def falsify(found: dict[str, Any]) -> None:
        found["tls"]["ca_file"] = str(ca_file)

    return _variant(settings, folder / "other-ca.yaml", falsify)


def with_host_key(settings: Settings, folder: Path, fingerprint: str) -> Path:
    """Write a configuration that trusts only the host key of that fingerprint; return its path."""

    def falsify(found: dict[str, Any]) -> None:
        found["host_keys"] = {"fingerprints": [fingerprint]}

    return _variant(settings, folder / "other-host-key.yaml", falsify)


def with_addresses(settings: Settings, folder: Path, wanted: list[str]) -> Path:
    """Write a configuration with other controller addresses; return its path."""

    def falsify(found: dict[str, Any]) -> None:
        found["addresses"] = wanted

    return _variant(settings, folder / "other-addresses.yaml", falsify)


def redacted(text: str, hidden: list[str]) -> str:
    """Return `text` without any of the secrets."""
    for secret in hidden:
        text = text.replace(secret, "***")
    return text


def _read(settings: Settings) -> dict[str, Any]:
    return dict(yaml.safe_load(settings.target.config.read_text(encoding="utf-8")))


def _variant(settings: Settings, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    plain = copy.deepcopy(_read(settings))
    change(plain["backends"][settings.target.backend]["options"])
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return path


def _secret_entries(found: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    for key, value in found.items():
        if isinstance(value, dict):
            yield from _secret_entries(value)
        elif isinstance(value, str) and _SECRET_KEY.search(key) and not key.endswith(("_file", "_env")):
            yield found, key, value

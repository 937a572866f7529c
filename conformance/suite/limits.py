"""QoS limits that an array declares it can set."""

from __future__ import annotations

from blockdrivers.driver import Capabilities, QosSupport
from blockdrivers.model import Qos


def limits(capabilities: Capabilities, factor: int, together: frozenset[str] | None = None) -> Qos:
    """Return valid limits, other ones for each factor; of the first declared combination unless told which."""
    support = _support(capabilities)
    chosen = together or min(support.combinations, key=lambda keys: (len(keys), sorted(keys)))
    return Qos(**{key: _value(key, support) * factor for key in sorted(chosen)})


def largest_combination(capabilities: Capabilities) -> Qos:
    """Return valid limits of as many kinds as go together."""
    support = _support(capabilities)
    return limits(capabilities, 1, max(support.combinations, key=lambda keys: (len(keys), sorted(keys))))


def _support(capabilities: Capabilities) -> QosSupport:
    if capabilities.qos is None:
        raise AssertionError("This check has to declare that it needs qos.")
    return capabilities.qos


def _value(key: str, support: QosSupport) -> int:
    if key.endswith("_us"):
        return support.latency_step_us * 2
    # What is promised stays below what is allowed: some arrays demand that of limits that go together.
    least = max(support.min_iops, 100) if key.endswith("iops") else support.bytes_step * 10
    return least if key.startswith("min_") else least * 2

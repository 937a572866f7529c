"""The way to an array's management addresses, looked at from below: names, TCP, TLS, SSH host keys. No credentials are sent."""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from blockdrivers.errors import HostKeyError
from blockdrivers.findings import Finding, Status
from blockdrivers.transport.session import NotSent
from blockdrivers.transport.sshoptions import HostKeyOptions

_TIMEOUT = 5.0
_EXPIRY_WARNING_DAYS = 30
_DAY = 86_400
_DEFAULT_PORTS = {"https": 443, "http": 80, "ssh": 22, "": 22}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A management address, without anything secret that a URL may hold."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Trust:
    """What a configuration trusts, as far as it says."""

    verify: bool
    ca_file: str | None
    fingerprint: str | None
    pins: bool
    """Whether the adapter's configuration can hold a fingerprint at all."""
    host_keys: Mapping[str, Any] | None = None
    """What is said of SSH host keys; None where management does not go over SSH."""


def endpoints(options: Mapping[str, Any]) -> Sequence[Endpoint]:
    """Return the management addresses that a backend's options hold, in the order in which they are tried."""
    found: list[Endpoint] = []
    for key in ("addresses", "address", "host", "hosts"):
        value = options.get(key) or ()
        for text in (value,) if isinstance(value, str) else value:
            endpoint = _endpoint(str(text), options.get("port"))
            if endpoint not in found:
                found.append(endpoint)
    return found


def trust(options: Mapping[str, Any]) -> Trust:
    """Return what a backend's options say of TLS and of SSH host keys."""
    tls = options.get("tls") or {}
    return Trust(
        verify=tls.get("verify", True) is not False,
        ca_file=None if tls.get("ca_file") is None else str(tls["ca_file"]),
        fingerprint=tls.get("fingerprint"),
        pins="fingerprint" in tls,
        host_keys=options.get("host_keys"),
    )


def look(endpoint: Endpoint, trusted: Trust) -> Iterator[Finding]:
    """Yield what is found on the way to one address, as far as the way goes."""
    try:
        resolved = sorted({str(info[4][0]) for info in socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError) as trouble:
        saw = f"the name does not resolve: {getattr(trouble, 'strerror', None) or trouble}"
        yield Finding("address", str(endpoint), Status.FAIL, saw, "Correct the address, or mend this machine's name service.")
        return
    started = time.monotonic()
    try:
        socket.create_connection((endpoint.host, endpoint.port), timeout=_TIMEOUT).close()
    except OSError as trouble:
        saw = f"{', '.join(resolved)} does not answer: {trouble.strerror or trouble}"
        advice = "Check address, port, routes and firewalls between this machine and the array's management port."
        yield Finding("address", str(endpoint), Status.FAIL, saw, advice)
        return
    took = (time.monotonic() - started) * 1000
    yield Finding("address", str(endpoint), Status.OK, f"{', '.join(resolved)} answers in {took:.0f} ms")
    if endpoint.tls:
        yield _tls(endpoint, trusted)
    elif trusted.host_keys is not None:
        yield _host_key(endpoint, trusted.host_keys)


def _host_key(endpoint: Endpoint, host_keys: Mapping[str, Any]) -> Finding:
    from blockdrivers.transport import sshwire  # noqa: PLC0415 - only for arrays that are managed over SSH

    subject = str(endpoint)
    options = HostKeyOptions.model_validate(host_keys)
    try:
        connection = sshwire.Connection((endpoint.host, endpoint.port), options, _TIMEOUT, _TIMEOUT)
    except NotSent as trouble:
        advice = "Make sure that this is the array's SSH port, and that it knows an algorithm that is not obsolete."
        return Finding("host key", subject, Status.FAIL, str(trouble), advice)
    except HostKeyError as trouble:
        return Finding(
            "host key", subject, Status.FAIL, trouble.message, "See docs: host_keys.keys, .fingerprints or .known_hosts."
        )
    shown = connection.shown_key
    connection.close()
    if not options.verify:
        advice = f"Switch it on: compare this with the array's own display and put it into host_keys.fingerprints: {shown}"
        return Finding("host key", subject, Status.WARN, f"verification is switched off; the array shows {shown}", advice)
    return Finding("host key", subject, Status.OK, f"shows the expected key {shown}")


def _tls(endpoint: Endpoint, trusted: Trust) -> Finding:
    subject = str(endpoint)
    try:
        der = _shown_certificate(endpoint)
    except OSError as trouble:
        advice = "Make sure that this is the array's management port, and that a TLS version both sides know is switched on."
        return Finding("tls", subject, Status.FAIL, f"no TLS handshake: {trouble}", advice)
    fingerprint = hashlib.sha256(der).hexdigest()
    if not trusted.verify:
        saw = f"verification is switched off; the array shows the certificate {fingerprint}"
        return Finding("tls", subject, Status.WARN, saw, f"Switch it on: {_way_to_trust(trusted, fingerprint)}")
    if trusted.fingerprint is not None:
        return _pinned(subject, trusted, fingerprint)
    try:
        details = _verified(endpoint, trusted.ca_file)
    except OSError as trouble:
        reason = getattr(trouble, "verify_message", None) or getattr(trouble, "strerror", None) or str(trouble)
        saw = f"not trusted: {reason}; {_described(_decoded(der), fingerprint)}"
        return Finding("tls", subject, Status.FAIL, saw, _way_to_trust(trusted, fingerprint))
    left = (ssl.cert_time_to_seconds(str(details["notAfter"])) - time.time()) / _DAY
    if left < _EXPIRY_WARNING_DAYS:
        advice = "Renew the array's certificate before then."
        return Finding("tls", subject, Status.WARN, f"trusted; {_described(details, fingerprint)}", advice)
    return Finding("tls", subject, Status.OK, f"trusted; {_described(details, fingerprint)}")


def _pinned(subject: str, trusted: Trust, fingerprint: str) -> Finding:
    if str(trusted.fingerprint).replace(":", "").lower().removeprefix("sha256") == fingerprint:
        return Finding("tls", subject, Status.OK, f"shows the expected certificate {fingerprint}")
    advice = (
        "If the array's certificate was renewed, compare this value with the array's own display and put it into tls.fingerprint."
    )
    return Finding("tls", subject, Status.FAIL, f"shows another certificate than expected: {fingerprint}", advice)


def _way_to_trust(trusted: Trust, fingerprint: str) -> str:
    advice = "Put the certificate of the CA that signed it (or its own, if self-signed) into a file and name that in tls.ca_file"
    if trusted.pins:
        advice += f"; or compare the fingerprint with the array's own display and put it into tls.fingerprint: {fingerprint}"
    return advice + "."


def _shown_certificate(endpoint: Endpoint) -> bytes:
    # Only looks at what is shown; nothing is sent over this connection.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((endpoint.host, endpoint.port), timeout=_TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=endpoint.host) as secure,
    ):
        return secure.getpeercert(binary_form=True) or b""


def _verified(endpoint: Endpoint, ca_file: str | None) -> Mapping[str, Any]:
    context = ssl.create_default_context(cafile=ca_file)
    with (
        socket.create_connection((endpoint.host, endpoint.port), timeout=_TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=endpoint.host) as secure,
    ):
        return secure.getpeercert() or {}


def _decoded(der: bytes) -> Mapping[str, Any]:
    """Read a certificate that nobody vouches for: a context that trusts just this one tells what stands in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=der)
        # Only CA certificates are listed there; a plain server certificate stays a fingerprint.
        return next(iter(context.get_ca_certs()), {})
    except ssl.SSLError:
        return {}


def _described(details: Mapping[str, Any], fingerprint: str) -> str:
    if not details:
        return f"fingerprint {fingerprint}"
    issuer = _name(details.get("issuer", ()))
    signed = "self-signed" if details.get("issuer") == details.get("subject") else f"signed by {issuer}"
    return f"{signed}, valid until {details.get('notAfter', 'an unknown day')}, fingerprint {fingerprint}"


def _name(parts: Sequence[Sequence[tuple[str, str]]]) -> str:
    found = {key: value for part in parts for key, value in part}
    return found.get("commonName") or found.get("organizationName") or "somebody without a name"


def _endpoint(text: str, port: object) -> Endpoint:
    parts = urlsplit(text if "://" in text else f"//{text}")
    chosen = parts.port or (port if isinstance(port, int) else None) or _DEFAULT_PORTS.get(parts.scheme, 443)
    return Endpoint(parts.hostname or text, chosen, parts.scheme == "https")

"""Secrets stay secret, and what cannot be trusted or logged in to is refused at once."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from blockdrivers.errors import BlockDriversError, CertificateError, HostKeyError, LoginRefused, Unreachable
from blockdrivers.model import GiB, Protocol
from conformance.outcome import Level
from conformance.suite import configuration, expect
from conformance.suite.declare import check
from conformance.suite.rig import Rig

_WRONG = "Wr0ng-passw0rd-of-the-suite"
_CHAP_SECRET = "ch4p-s3cret-77"
_NOBODY = "127.0.0.1:9"
_OTHER_KEY = "SHA256:" + "A" * 43


@contextmanager
def _everything_logged() -> Iterator[io.StringIO]:
    """Capture what any library logs, down to DEBUG, with every structured field."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.format = lambda record: f"{record.getMessage()} {record.__dict__}"  # type: ignore[method-assign]
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield written
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _life(rig: Rig) -> None:
    backend = rig.closing(rig.run.settings.open())
    volume = rig.id("v")
    backend.create_volume(volume, GiB, rig.pool)
    host = rig.with_chap(_CHAP_SECRET) if rig.capabilities.chap and rig.protocol is Protocol.ISCSI else rig.host
    rig.track_host(host)
    backend.export(volume, host, rig.protocol)
    if rig.capabilities.list_exports:
        backend.list_exports(volume)
    backend.unexport(volume, host, rig.protocol)
    backend.delete_volume(volume)
    backend.close()


@check(
    "secret.logs",
    Level.ESSENTIAL,
    "No secret in any log",
    title_zh="日志中没有任何秘密",
    requirement="Through a volume's whole life, with CHAP where there is CHAP, no logger at DEBUG shows a password or secret.",
    needs=("password",),
)
def test_logs(rig: Rig) -> None:
    with _everything_logged() as written:
        _life(rig)
    shown = written.getvalue()
    assert "create_volume" in shown, "the life cycle logged nothing at all, so this check would prove nothing"
    for secret in (*configuration.secrets(rig.run.settings), _CHAP_SECRET):
        assert secret not in shown, "a log record holds a password or CHAP secret"


@check(
    "secret.errors",
    Level.ESSENTIAL,
    "No secret in any error",
    title_zh="错误信息中没有任何秘密",
    requirement="A refused login and a refused CHAP secret show in no message, repr or traceback, and in no log.",
    needs=("password",),
)
def test_errors(rig: Rig) -> None:
    config = configuration.with_secret(rig.run.settings, rig.folder, _WRONG)
    with _everything_logged() as written:
        try:
            rig.closing(rig.run.settings.open_as(config, rig.run.target.backend)).pools()
        except BlockDriversError as error:
            shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.as_dict())
        else:
            raise AssertionError("the array let a wrong password in")
        rig.volume()
        too_long = "x" * 5 + _CHAP_SECRET * 9
        try:
            rig.backend.export(rig.id("v"), rig.with_chap(too_long), Protocol.ISCSI)
        except BlockDriversError as error:
            shown += "".join(traceback.format_exception(error)) + repr(error) + repr(rig.with_chap(too_long))
    for secret in (_WRONG, _CHAP_SECRET, *configuration.secrets(rig.run.settings)):
        assert secret not in shown, "an exception shows a password or CHAP secret"
        assert secret not in written.getvalue(), "a log record shows a password or CHAP secret"


@check(
    "login.refused",
    Level.ESSENTIAL,
    "A wrong password is refused and not repeated",
    title_zh="错误密码立即拒绝且不重试",
    requirement="A wrong password ends in LoginRefused, and several calls send it no more than once: no account gets locked.",
    needs=("password", "fault_control", "tells_reasons"),
)
def test_login(rig: Rig) -> None:
    config = configuration.with_secret(rig.run.settings, rig.folder, _WRONG)
    backend = rig.closing(rig.run.settings.open_as(config, rig.run.target.backend))
    before = rig.control.requests()
    for _ in range(4):
        with expect.refused(LoginRefused, what="a call with a wrong password"):
            backend.pools()
    sent = rig.control.requests() - before
    assert sent == 1, f"four calls with a wrong password sent {sent} requests"


@check(
    "tls.untrusted",
    Level.ESSENTIAL,
    "An untrusted certificate is refused",
    title_zh="不受信任的证书被拒绝",
    requirement="An array whose certificate another CA signed gets no credentials: CertificateError, and nothing is sent.",
    needs=("own_transport", "over_https", "tls"),
)
def test_untrusted(rig: Rig) -> None:
    config = configuration.with_ca_file(rig.run.settings, rig.folder, _other_ca(rig.folder))
    before = rig.run.control.requests() if rig.run.control else 0
    with expect.refused(CertificateError, what="a call to an array signed by another CA", naming="ca_file"):
        rig.closing(rig.run.settings.open_as(config, rig.run.target.backend)).pools()
    after = rig.run.control.requests() if rig.run.control else 0
    assert after == before, f"{after - before} requests reached an array that is not trusted"


@check(
    "host_key.untrusted",
    Level.ESSENTIAL,
    "An unexpected host key is refused",
    title_zh="非预期的主机密钥被拒绝",
    requirement="An array that shows another SSH host key than expected gets no credentials: HostKeyError, and nothing is sent.",
    needs=("own_transport", "over_ssh", "host_key"),
)
def test_host_key(rig: Rig) -> None:
    config = configuration.with_host_key(rig.run.settings, rig.folder, _OTHER_KEY)
    before = rig.run.control.requests() if rig.run.control else 0
    with expect.refused(HostKeyError, what="a call to an array with another host key", naming="SHA256:"):
        rig.closing(rig.run.settings.open_as(config, rig.run.target.backend)).pools()
    after = rig.run.control.requests() if rig.run.control else 0
    assert after == before, f"{after - before} requests reached an array that is not trusted"


@check(
    "unreachable.named",
    Level.MANDATORY,
    "An array out of reach is named",
    title_zh="不可达的阵列给出地址与原因",
    requirement="When no controller address answers, the error is Unreachable and names each address.",
    needs=("own_transport", "trust"),
)
def test_unreachable(rig: Rig) -> None:
    address = _NOBODY if configuration.is_over_ssh(rig.run.settings) else f"https://{_NOBODY}/"
    config = configuration.with_addresses(rig.run.settings, rig.folder, [address])
    backend = rig.closing(rig.run.settings.open_as(config, rig.run.target.backend))
    with expect.refused(Unreachable, what="a call to an address where nobody listens", naming=_NOBODY):
        backend.pools(timeout=30)


def _other_ca(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a CA that signed nothing here")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "another-ca.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path

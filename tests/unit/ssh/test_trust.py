"""Whom the SSH transport trusts: host keys."""

from __future__ import annotations

import paramiko
import pytest

from blockdrivers.errors import HostKeyError
from blockdrivers.transport.sshoptions import HostKeyOptions
from tests.unit.ssh.commands import look


def test_an_unknown_host_key_gets_no_password(serve, connect, tmp_path):
    server = serve()
    nothing = tmp_path / "known_hosts"
    nothing.touch()
    with pytest.raises(HostKeyError, match=r"is not known.*SHA256:.*fingerprints"):
        look(connect(server, host_keys=HostKeyOptions(known_hosts=nothing)))
    assert server.logins == []


def test_a_changed_host_key_gets_no_password_and_is_not_passed_over(serve, connect):
    server, second = serve(), serve()
    changed = HostKeyOptions(keys=(second.shown_key,))
    with pytest.raises(HostKeyError, match="another one than expected"):
        look(connect(server, second, host_keys=changed))
    assert (server.logins, second.logins) == ([], [])


def test_a_fingerprint(serve, connect):
    server = serve()
    assert look(connect(server, host_keys=HostKeyOptions(fingerprints=(server.key.fingerprint,)))).status == 0
    with pytest.raises(HostKeyError):
        look(connect(server, host_keys=HostKeyOptions(fingerprints=("SHA256:" + "A" * 43,))))


@pytest.mark.parametrize("hashed", [False, True])
def test_a_known_hosts_file(serve, connect, tmp_path, hashed):
    server = serve()
    name = f"[127.0.0.1]:{server.port}"
    known = tmp_path / "known_hosts"
    known.write_text(f"# ours\n{paramiko.HostKeys.hash_host(name) if hashed else name} {server.shown_key}\n")
    assert look(connect(server, host_keys=HostKeyOptions(known_hosts=known))).status == 0


def test_an_address_that_moves_between_controllers_has_a_known_key_of_each(serve, connect, tmp_path):
    """Both of one type, between lines that say nothing."""
    server, other = serve(), serve()
    name = f"[127.0.0.1]:{server.port}"
    known = tmp_path / "known_hosts"
    unread = ("# note", "", "x", f"{name} ssh-rsa not-base64", f"{name} ssh-dss AAAAB3NzaC1kc3M=", f"|1|? {server.shown_key}")
    lines = [*unread, f"{name} {other.shown_key}", f"{name} {server.shown_key} a comment"]
    known.write_text("\n".join(lines))
    assert look(connect(server, host_keys=HostKeyOptions(known_hosts=known))).status == 0
    known.write_text(f"@revoked {name} {server.shown_key}\n{name} {other.shown_key}\n")
    with pytest.raises(HostKeyError, match="another one"):
        look(connect(server, host_keys=HostKeyOptions(known_hosts=known)))


def test_a_known_hosts_file_counts_beside_a_fingerprint(serve, connect, tmp_path):
    first, second = serve(), serve()
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{first.port} {first.shown_key}\n")
    both = HostKeyOptions(known_hosts=known, fingerprints=(second.key.fingerprint,))
    for server in (first, second):
        assert look(connect(server, host_keys=both)).status == 0


def test_the_account_s_known_hosts_file_is_asked_where_nothing_is_said(serve, connect, tmp_path, monkeypatch):
    server = serve()
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(HostKeyError):
        look(connect(server, host_keys=HostKeyOptions()))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.shown_key}\n")
    assert look(connect(server, host_keys=HostKeyOptions())).status == 0


def test_a_key_of_a_known_type_is_asked_for(serve, connect):
    rsa = serve(key=paramiko.RSAKey.generate(2048))
    assert look(connect(rsa)).status == 0


def test_verification_is_off_only_in_so_many_words(serve, connect):
    assert look(connect(serve(), host_keys=HostKeyOptions(verify=False))).status == 0

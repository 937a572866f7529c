"""How the SSH transport logs in, and that no secret is shown."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import paramiko
import pytest

from blockdrivers.errors import Ambiguous, ConfigurationError, LoginRefused, Unreachable
from blockdrivers.transport import session, ssh
from blockdrivers.transport.command import Secret, command
from tests.unit.ssh.commands import cut, look
from tests.unit.ssh.servers import PASSWORD, Script


def test_a_wrong_password_is_sent_once_by_all_threads(serve, connect):
    first, second = serve(), serve()
    transport = connect(first, second, password="wrong-one-of-the-test", max_connections=4)

    def ask(_):
        with pytest.raises(LoginRefused, match="locked") as refused:
            look(transport)
        return repr(refused.value) + str(refused.value.as_dict())

    with ThreadPoolExecutor(8) as pool:
        shown = list(pool.map(ask, range(12)))
    assert (first.logins, second.logins) == (["password"], [])
    assert "wrong-one" not in "".join(shown)


def test_a_refused_login_is_tried_again_later(serve, connect, monkeypatch):
    server = serve()
    transport = connect(server, password="wrong")
    for remembered in (30.0, 0.0):
        monkeypatch.setattr(session, "REFUSAL_REMEMBERED", remembered)
        with pytest.raises(LoginRefused):
            look(transport)
    assert len(server.logins) == 2


def test_an_array_that_hangs_up_at_a_login_is_not_sent_the_password_over_and_over(serve, connect, monkeypatch):
    server = serve(Script(at={"login": cut}))
    transport = connect(server)
    for _ in range(3):
        with pytest.raises(Unreachable):
            look(transport)
    assert len(server.logins) == 1
    monkeypatch.setattr(ssh, "_HUNG_UP_REMEMBERED", 0.0)
    server.script.at.clear()
    assert look(transport).status == 0


@pytest.mark.parametrize("passphrase", [None, "of-the-key"])
def test_a_private_key(serve, connect, tmp_path, passphrase):
    key = paramiko.ECDSAKey.generate()
    path = tmp_path / "id"
    key.write_private_key_file(str(path), password=passphrase)
    server = serve(Script(public_key=key))
    assert look(connect(server, key_file=path, passphrase=passphrase)).status == 0
    assert server.logins == ["publickey"]
    other = serve(Script(public_key=paramiko.ECDSAKey.generate()))
    with pytest.raises(LoginRefused, match="private key"):
        look(connect(other, key_file=path, passphrase=passphrase))


@pytest.mark.parametrize("passphrase", [None, "another"])
def test_a_private_key_that_cannot_be_read(serve, connect, tmp_path, passphrase):
    path = tmp_path / "id"
    paramiko.ECDSAKey.generate().write_private_key_file(str(path), password="of-the-key")
    with pytest.raises(ConfigurationError, match="passphrase"):
        look(connect(serve(), key_file=path, passphrase=passphrase))


def test_an_array_that_wants_another_kind_of_login(serve, connect):
    with pytest.raises(LoginRefused, match="publickey"):
        look(connect(serve(Script(allowed="publickey"))))


def test_no_secret_in_logs_results_or_errors(serve, connect, caplog):
    secret = "ch4p-s3cret-77"
    server = serve(Script(answer=lambda line: (line.encode(), f"bad value: {line}".encode(), 1)))
    transport = connect(server)
    made = command("chhost", "-chapsecret", Secret(secret), "h1")
    with caplog.at_level(logging.DEBUG):
        result = transport.run(made, operation="chhost", mutating=True)
        server.script.at["output"] = cut
        with pytest.raises(Ambiguous) as lost:
            transport.run(made, operation="chhost", mutating=True)
    assert server.commands[0] == f"chhost -chapsecret {secret} h1"
    assert result.stderr == "bad value: chhost -chapsecret *** h1"
    everything = caplog.text + "".join(str(item.__dict__) for item in caplog.records) + repr(lost.value) + repr(result)
    assert "chhost -chapsecret *** h1" in caplog.text
    for hidden in (secret, PASSWORD):
        assert hidden not in everything
    record = next(item for item in caplog.records if getattr(item, "operation", "") == "chhost")
    assert (record.status, record.array, record.controller) == (1, "toy", server.address)
    assert {item.levelno for item in caplog.records if item.name.startswith("blockdrivers")} == {logging.DEBUG}

from __future__ import annotations

import logging

import pytest

from blockdrivers.config import load, open_backend
from blockdrivers.errors import ConfigurationError

GOOD = """\
backends:
  hall-3:
    adapter: huawei-oceanstor
    timeouts: {default: 60}
    options:
      addresses: ["https://192.0.2.10:8088/deviceManager/rest/"]
      username: svc
      password: very-secret-word
"""


def write(tmp_path, text):
    path = tmp_path / "backends.yaml"
    path.write_text(text)
    return path


def test_a_good_file(tmp_path):
    configuration = load(write(tmp_path, GOOD))
    config = configuration.backend()
    assert (config.name, config.adapter.name, config.timeouts.default, config.timeouts.copy) == (
        "hall-3",
        "huawei-oceanstor",
        60,
        86_400,
    )
    assert "very-secret-word" not in repr(configuration)
    open_backend(configuration, "hall-3").close()


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ("adapter: huawei-oceanstor", "adapter: huawei-ocean", "line 3, backends.hall-3.adapter", "huawei-oceanstor"),
        ("username: svc", "usrname: svc", "line 5, backends.hall-3.options.username", "required"),
        ("{default: 60}", "{default: -1}", "line 4, backends.hall-3.timeouts.default", "-1"),
        ("{default: 60}", "{defualt: 60}", "backends.hall-3.timeouts.defualt", "60"),
        ('["https://192.0.2.10:8088/deviceManager/rest/"]', "[]", "line 6, backends.hall-3.options.addresses", "at least 1"),
        (
            "username: svc",
            "username: svc\n      max_connections: many",
            "line 8, backends.hall-3.options.max_connections",
            "many",
        ),
        ("password: very-secret-word", "password: {env: NO_SUCH_VARIABLE_HERE}", "options.password", "NO_SUCH_VARIABLE_HERE"),
        ("password: very-secret-word", "password: {file: /no/such/file}", "options.password", "/no/such/file"),
        ("password: very-secret-word", "password: [very-secret-word]", "line 8, backends.hall-3.options.password", "string"),
        ("username: svc", "username: svc\n      tls: {verify: false, ca_file: /x}", "options.tls", "ca_file"),
    ],
)
def test_a_wrong_file_is_refused_by_file_line_and_field(tmp_path, old, new, place, says):
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigurationError) as error:
        load(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert place in message
    assert says in message
    assert "very-secret-word" not in message


@pytest.mark.parametrize("text", ["", "backends: {}", "- a", "backends: [", "backends:\n  a: 7\n", "\tbackends: 1"])
def test_what_is_no_configuration_at_all(tmp_path, text):
    with pytest.raises(ConfigurationError, match=r"backends\.yaml"):
        load(write(tmp_path, text))


def test_a_rule_over_several_fields_says_only_what_is_wrong(tmp_path):
    text = GOOD.replace("huawei-oceanstor", "inspur-instorage").replace(
        "https://192.0.2.10:8088/deviceManager/rest/", "192.0.2.10"
    )
    path = write(tmp_path, text.replace("      password: very-secret-word\n", ""))
    with pytest.raises(ConfigurationError, match=r"hall-3\.options: password or private_key_file is needed to log in\.$"):
        load(path)
    path.write_text(text.replace("192.0.2.10", "https://192.0.2.10"))
    with pytest.raises(ConfigurationError, match=r"a port or without; got 'https://192\.0\.2\.10'\.$"):
        load(path)


def test_an_absent_file(tmp_path):
    with pytest.raises(ConfigurationError, match=r"absent\.yaml.*No such file"):
        load(tmp_path / "absent.yaml")


def test_secrets_from_elsewhere(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HALL3", "from-the-environment")
    path = write(tmp_path, GOOD.replace("very-secret-word", "{env: HALL3}"))
    assert load(path).backend().options.password.get_secret_value() == "from-the-environment"
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    secret.chmod(0o644)
    path = write(tmp_path, GOOD.replace("very-secret-word", f"{{file: {secret}}}"))
    with caplog.at_level(logging.WARNING):
        assert load(path).backend().options.password.get_secret_value() == "from-a-file"
    assert "chmod 600" in caplog.text


def test_an_unknown_backend_is_told_the_known_ones(tmp_path):
    with pytest.raises(ConfigurationError, match=r"hall-9.*hall-3"):
        load(write(tmp_path, GOOD)).backend("hall-9")


def test_unverified_tls_is_warned_of(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        load(write(tmp_path, GOOD.replace("username: svc", "username: svc\n      tls: {verify: false}")))
    assert "not verified" in caplog.text

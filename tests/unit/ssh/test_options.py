"""What an SSH backend may be configured with."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from blockdrivers.transport.sshoptions import HostKeyOptions, SshOptions, split_address

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.10", ("192.0.2.10", 22)),
        ("array.example:2222", ("array.example", 2222)),
        ("[2001:db8::10]:22", ("2001:db8::10", 22)),
        ("[2001:db8::10]", ("2001:db8::10", 22)),
        ("ssh://192.0.2.10:2200", ("192.0.2.10", 2200)),
    ],
)
def test_addresses(text, expected):
    assert split_address(text) == expected


@pytest.mark.parametrize("text", ["", "https://192.0.2.10", "192.0.2.10:port", "192.0.2.10:99999", "user@192.0.2.10", "a/b"])
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match="SSH address"):
        split_address(text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keys": ["ssh-ed25519 nonsense!"]}, "a host key is"),
        ({"keys": ["AAAAC3NzaC1lZDI1NTE5"]}, "a host key is"),
        ({"keys": [KEY.replace("ssh-ed25519", "ssh-rsa")]}, "a host key is"),
        ({"fingerprints": ["SHA256:short"]}, "ssh-keygen"),
        ({"fingerprints": ["MD5:00:11"]}, "ssh-keygen"),
        ({"known_hosts": "/nonexistent/known_hosts"}, "not a readable file"),
        ({"verify": False, "keys": [KEY]}, "contradicts"),
    ],
)
def test_host_keys_that_make_no_sense(options, said):
    with pytest.raises(ValidationError, match=said):
        HostKeyOptions(**options)


def test_switching_verification_off_is_warned_of(caplog):
    HostKeyOptions(verify=False)
    assert "not verified" in caplog.text


@pytest.mark.parametrize("more", [{}, {"private_key_file": "/nonexistent/key"}])
def test_nothing_to_log_in_with(more):
    with pytest.raises(ValidationError, match="private_key_file"):
        SshOptions(addresses=["192.0.2.10"], username="u", **more)

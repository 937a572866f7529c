"""The real NFS server of simulated arrays: whom it lets in, to what, and from when on.

Clients come from addresses of the loopback network, of which this machine has every one.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from blockdrivers.errors import AttachError
from conformance.simulation.nfs.admission import EVERYBODY, Access, Admission, Squash
from conformance.simulation.nfs.ganesha import NfsServer, NfsServerError, free_address
from conformance.suite.nfsfile import NfsFile

ONE, TWO, FAR = "127.0.2.1", "127.0.2.2", "127.0.3.1"
SOMEBODY = 4321
"""A user whom only files of his own are open to."""


@pytest.fixture
def server(tmp_path):
    with ExitStack() as stack:
        started = NfsServer(tmp_path, ["a", "b"], free_address())
        stack.callback(started.close)
        for folder, owner in (("a", 0), ("b", SOMEBODY)):
            file = tmp_path / folder / "file"
            file.write_bytes(b"before")
            file.chmod(0o600)
            # libnfs opens a file for writing only in a folder that it may write to.
            for path in (file, file.parent):
                os.chown(path, owner, owner)
        yield started


def allowed(server: NfsServer, address: str, export: str = "a") -> str:
    """Return what a client at an address may do with a file: ``write``, ``read``, ``look`` at the export, or ``nothing``."""
    location = f"{server.address}:/{export}/file"
    for writes in (True, False):
        try:
            file = NfsFile(location, [address], writes=writes)
        except AttachError as refused:
            if "could not mount" in str(refused):
                return "nothing"
            continue
        try:
            assert len(file.read(0, 6)) == 6
            if writes:
                file.write(0, address[-6:].encode())
                file.flush()
                assert (server.folder / export / "file").read_bytes() == address[-6:].encode()
        finally:
            file.close()
        return "write" if writes else "read"
    return "look"


def only(*networks: str, **more) -> Admission:
    return Admission(networks, **more)


@pytest.mark.parametrize(
    ("admitted", "expected"),
    [
        (EVERYBODY, ("write", "write", "write")),
        ((), ("nothing", "nothing", "nothing")),
        ((only(),), ("nothing", "nothing", "nothing")),
        ((only(ONE),), ("write", "nothing", "nothing")),
        ((only(f"{ONE}/32"),), ("write", "nothing", "nothing")),
        ((only("127.0.2.2/31"),), ("nothing", "write", "nothing")),
        ((only("127.0.2.0/24"),), ("write", "write", "nothing")),
        ((only("0.0.0.0/1"),), ("write", "write", "write")),
        ((only("192.0.2.0/24"),), ("nothing", "nothing", "nothing")),
        ((only(ONE, "127.0.3.0/24"),), ("write", "nothing", "write")),
        ((only(ONE), only(FAR, access=Access.READ)), ("write", "nothing", "read")),
        ((only("127.0.2.0/24", access=Access.READ), only(ONE)), ("read", "read", "nothing")),
        ((only(ONE), only("127.0.2.0/24", access=Access.READ)), ("write", "read", "nothing")),
        ((only(ONE, access=Access.NOTHING), *EVERYBODY), ("nothing", "write", "write")),
        ((only(ONE, squash=Squash.ROOT), *EVERYBODY), ("look", "write", "write")),
    ],
)
def test_a_client_is_treated_by_the_first_line_that_names_it(server, admitted, expected):
    server.admit({"a": admitted})
    assert tuple(allowed(server, address) for address in (ONE, TWO, FAR)) == expected
    assert allowed(server, ONE, "b") == "write"


@pytest.mark.parametrize("squash", [Squash.ROOT, Squash.EVERYBODY])
def test_who_is_squashed_is_the_anonymous_user(server, squash):
    server.admit({"b": (only(ONE, squash=squash, anonymous=SOMEBODY), only(TWO, squash=squash, anonymous=SOMEBODY + 1))})
    assert [allowed(server, address, "b") for address in (ONE, TWO)] == ["write", "look"]


def test_an_open_file_is_shut_out_and_let_in_again(server):
    server.admit({"a": (only(ONE),)})
    file = NfsFile(f"{server.address}:/a/file", [ONE])
    try:
        for _ in range(3):
            server.admit({"a": (only(TWO),)})
            with pytest.raises(AttachError, match="ACCESS"):
                file.read(0, 6)
            with pytest.raises(AttachError, match="ACCESS"):
                file.write(0, b"denied")
            server.admit({"a": (only(ONE),)})
            assert file.read(0, 6) == b"before"
    finally:
        file.close()


def test_lists_that_it_does_not_take_are_an_error_and_the_next_ones_hold(server):
    with pytest.raises(NfsServerError, match="takes no such exports"):
        server.admit({"a": (only("127.0.0.0/255.0.0.0"),)})
    for _ in range(2):
        server.admit({"a": (only(ONE),)})
        assert [allowed(server, address) for address in (ONE, TWO)] == ["write", "nothing"]


def test_a_server_that_has_ended_says_so(server):
    server._process.kill()
    server._process.wait()
    with pytest.raises(NfsServerError, match="does not read its exports again"):
        server.admit({"a": ()})

"""SSH servers that do as a script says, and transports that reach them."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from blockdrivers.transport.ssh import SshTransport
from blockdrivers.transport.sshoptions import HostKeyOptions, SshOptions
from tests.unit.ssh.servers import PASSWORD, USERNAME, Server


@pytest.fixture
def serve():
    running = []

    def start(script=None, **more):
        running.append(Server(script, **more))
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture
def connect(serve):
    """Return a function that opens a transport; depends on `serve` so as to be closed before the servers are."""
    opened = []

    def open_transport(*servers, host_keys=None, password=PASSWORD, max_connections=4, key_file=None, passphrase=None, **more):
        options = SshOptions(
            addresses=[server if isinstance(server, str) else server.address for server in servers],
            username=USERNAME,
            password=None if key_file else SecretStr(password),
            private_key_file=key_file,
            passphrase=passphrase and SecretStr(passphrase),
            host_keys=host_keys or HostKeyOptions(keys=tuple(server.shown_key for server in servers)),
            max_connections=max_connections,
        )
        opened.append(SshTransport(options, name="toy", **more))
        return opened[-1]

    yield open_transport
    for transport in opened:
        transport.close()

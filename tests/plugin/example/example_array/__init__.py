"""The plugin: what it serves, and where the rest is."""

from blockdrivers.model import Protocol
from blockdrivers.plugins import Adapter, hookimpl


@hookimpl
def blockdrivers_adapters():
    return [
        Adapter(
            name="example-file",
            vendor="Example",
            title="An array that is an SQLite file",
            models=("Example File Array",),
            protocols=frozenset({Protocol.ISCSI, Protocol.FC}),
            config="example_array.driver:Options",
            driver="example_array.driver:open_driver",
        )
    ]

"""Started by path with the interpreter of a Cinder environment: ``python .../worker CHANNEL``, CHANNEL being a socket's descriptor.

That environment has no blockdrivers, so this folder is made a package under a name that nothing else has.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

_NAME = "blockdrivers_cinder_worker"


def _load() -> None:
    folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - nothing of blockdrivers can be asked here
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != folder]  # noqa: PTH100
    spec = importlib.util.spec_from_file_location(
        _NAME,
        os.path.join(folder, "__init__.py"),  # noqa: PTH118
        submodule_search_locations=[folder],
    )
    assert spec is not None  # noqa: S101
    assert spec.loader is not None  # noqa: S101
    package = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = package
    spec.loader.exec_module(package)


def _patch() -> None:
    """Make this a process like Cinder's volume service: drivers count on its kind of threads, and some wait for ever on others."""
    # What the environment trusts overrides a driver's own choice of certificates, in the requests library.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        os.environ.pop(name, None)
    try:
        importlib.import_module("cinder.monkey_patch").patch()
    except ModuleNotFoundError as error:
        if error.name == "cinder":
            raise
        importlib.import_module("eventlet").monkey_patch()


_patch()
_load()
importlib.import_module(f"{_NAME}.serving").serve(int(sys.argv[1]))

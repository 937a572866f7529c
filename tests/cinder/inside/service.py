"""Runs inside an environment with the cinder package: one of its services, as its own command would, with this library's connector.

The first argument names it (``volume``, ``backup``); the others are those of any Cinder service.
"""

from __future__ import annotations

import importlib
import sys

# The command patches what eventlet replaces, before anything else is imported.
command = importlib.import_module(f"cinder.cmd.{sys.argv.pop(1)}")

import connector

connector.install()
command.main()

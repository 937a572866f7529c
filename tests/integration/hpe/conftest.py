"""Arrays of the WSAPI family for its tests."""

from __future__ import annotations

from tests.integration.hpe.lab import NEW, Lab
from tests.integration.labs import starting
from vendors.hpe.simulator import build

lab = starting(Lab, build, NEW)

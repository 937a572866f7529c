"""ACS5000 arrays for their tests."""

from __future__ import annotations

from tests.integration.labs import starting
from tests.integration.toyou.lab import Lab
from vendors.toyou.simulator import build

lab = starting(Lab, build, "ACS5000")

"""VSP arrays for their tests."""

from __future__ import annotations

from tests.integration.hitachi.lab import Lab
from tests.integration.labs import starting
from vendors.hitachi.simulator import build

lab = starting(Lab, build, "VSP G370")

"""MacroSAN arrays for their tests."""

from __future__ import annotations

from benchmarks.macrosan import MODEL
from tests.integration.labs import starting
from tests.integration.macrosan.lab import Lab
from vendors.macrosan.simulator import build

lab = starting(Lab, build, MODEL)

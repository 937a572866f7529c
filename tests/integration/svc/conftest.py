"""Spectrum Virtualize and InStorage MCS arrays for their tests."""

from __future__ import annotations

from tests.integration.labs import starting
from tests.integration.svc.lab import FLASHSYSTEM, Lab
from vendors.svc.simulator import build

lab = starting(Lab, build, FLASHSYSTEM)

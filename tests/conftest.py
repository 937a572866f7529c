"""What all tests share."""

from __future__ import annotations

import sys
from pathlib import Path

# The example adapter is a distribution of its own; unit tests use its driver in place of an array.
sys.path.insert(0, str(Path(__file__).parent / "plugin" / "example"))

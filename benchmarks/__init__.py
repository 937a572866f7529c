"""Figures that the project keeps: ratios within one run, and round trips counted by the simulator."""

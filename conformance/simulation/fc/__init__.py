"""LUNs over Fibre Channel: an FC target in a machine that has FC ports, and a plane that tells it what to show.

`lio` runs in that machine, as root; `fabric` speaks to it; `plane` lets a simulated array's bytes be reached there.
"""

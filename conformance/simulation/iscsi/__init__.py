"""The bytes of a simulated array and its iSCSI portals.

One sparse file per volume (`files`), one user-space target per host (`target`), because tgt shows every initiator of a target
the same LUNs while an array shows each host its own; and in front of them the array's portals (`portal`), which pass each
connection on to the target of the host that the first login request names. `plane` holds them together.
"""

"""Volumes that are files of a share: the part of the driver contract that is the same for every file server.

A share has no descriptions and no hosts, so names hold everything: a volume is a file of its name, its snapshot a file
``SNAPSHOT{VOLUME}``, an export to a host a symbolic link ``HOST{VOLUME}``, and a host that was let in a link ``HOST`` whose target is
its addresses. One look at a share's names tells all of a volume. What is being made is a draft, ``HELPER{VOLUME}``, and gets its own name
last: so what has a volume's name is whole.

**One id, one file** (`blockdrivers.files.drafts`). A server keeps names apart within one share only. So a draft is also the claim to its volume's name: who
has one looks at every share, at the drafts of that volume first and at its name then, and publishes only once nothing else is there. Of two that meet,
one is taken away; a server publishes no draft that has gone, so what was published stays, and nobody is told of anything else.
The draft of the lesser share goes first, the other one gives way, unless nobody works on the first any more.

**What is used is not deleted** (`blockdrivers.files.driver`). A server deletes a file whatever hangs on it. So who deletes a volume first takes its
name away, and then looks at what hangs on it; who hangs an export or a snapshot on one looks for the volume afterwards. One of the two sees the
other. A volume that was taken away is put back by whoever looks for it, also after a deletion that was cut off: a deletion has happened when the file has gone.

**A volume is in one place** (`blockdrivers.files.moves`). No server renames a file into another share. So a move copies it into a draft, takes its name away as a
deletion does, and says so by one rename, from which on the copy is the volume, if it is whole, and nobody has used the volume since the copy was begun.

How a server is asked is a `FileStore`'s.
"""

from blockdrivers.files.driver import FilesDriver
from blockdrivers.files.store import Entry, FileStore

__all__ = ["Entry", "FileStore", "FilesDriver"]

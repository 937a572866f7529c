"""A virtual machine that attaches volumes as a real host does, the network it is in, and what serves it."""

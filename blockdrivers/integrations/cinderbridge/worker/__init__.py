"""The far side of the bridge: runs in a process of its own, in the environment that has the cinder package, and imports only that."""

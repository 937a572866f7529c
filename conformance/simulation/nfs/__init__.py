"""Folders of a simulated array as the exports of a real NFS server."""

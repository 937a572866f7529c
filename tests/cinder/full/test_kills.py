"""Services of a cloud are killed one after the other while users work: nothing that they were told is lost, and nothing is left over."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection

import pytest

from blockdrivers.integrations.cinder import connections
from blockdrivers.model import Protocol
from blockdrivers.naming import Kind, kind_of
from tests.cinder.full.conftest import Site, volume_name
from tests.cinder.full.load import PIECE, Book, User
from tests.cinder.lab.api import AS_SERVICE
from tests.cinder.lab.cloud import connector, lun

USERS = 6
BETWEEN_SECONDS = 4.0
DOWN_SECONDS = 1.5
VICTIMS = ("volume-1", "scheduler", "volume-2", "backup", "volume-1", "api", "volume-2", "volume-1", "scheduler", "volume-2")
AT_REST = {"available", "in-use", "error", "error_deleting", "error_extending", "error_restoring"}
STUCK_SECONDS = 30.0
BACKUP_SECONDS = 210.0
"""From the start; the kills take a minute."""


@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_left_over(site: Site):
    book, over = Book(), threading.Event()
    users = [User(number, site.services.root, book, over) for number in range(USERS)]
    saved = site.api().post("/volumes", {"volume": {"size": 1}})["volume"]["id"]
    site.api().wait("volume", saved)
    backups = threading.Thread(target=_back_up, args=(site, saved, book, over), name="backups")
    for thread in (*users, backups):
        thread.start()
    try:
        for victim in VICTIMS:
            time.sleep(BETWEEN_SECONDS)
            site.services.kill(victim)
            time.sleep(DOWN_SECONDS)
            site.services.start(victim)
        time.sleep(BETWEEN_SECONDS)
    finally:
        over.set()
        for thread in (*users, backups):
            thread.join(240)
    assert [user.failure for user in users if user.failure] == []
    site.services.settle()
    api = site.api()
    api.post("/workers/cleanup", {}, micro="3.24")
    stuck = _rest(site)
    print(f"came true: {book.done}; ended in error: {len(book.broken)}; left in between: {stuck}")
    assert book.done["volume made"] >= 2 * USERS, book.broken
    assert book.done.get("backup available", 0) >= 1, book.done
    assert book.broken, "no request met a killed service: the test kills at the wrong moments"
    volumes = {item["id"]: item for item in api.get("/volumes/detail?all_tenants=1")["volumes"]}
    on_array = site.on_array("volumes")
    assert book.deleted & {*volumes} == set(), "deleted volumes are there again"
    assert [one for one in book.deleted if volume_name(one) in on_array] == []
    assert [one for one in book.kept if one not in volumes] == [], "volumes that users rely on are gone from Cinder"
    assert [one for one in book.kept if volume_name(one) not in on_array] == [], (
        "volumes that users rely on are gone from the array"
    )
    unknown = set(on_array) - {volume_name(one) for one in volumes}
    assert {name for name in unknown if kind_of(name) is not Kind.TEMPORARY} == set(), (
        "the array has volumes that Cinder does not know"
    )
    for identifier, data in book.kept.items():
        assert _read(site, identifier) == data, (
            f"{identifier} ({volumes[identifier]['status']}) has other bytes than were written"
        )
    _delete_everything(site)
    left = {kind: site.on_array(kind) for kind in ("volumes", "snapshots", "copies", "qos")}
    assert left == {"volumes": {}, "snapshots": {}, "copies": {}, "qos": {}}
    mappings = site.array.family.state()["mappings"]
    assert mappings == [], "hosts are shown what is not there"


def _back_up(site: Site, volume: str, book: Book, over: threading.Event) -> None:
    """Back one volume up again and again, whatever becomes of each backup, and then until one has come true, which may take a while.

    A scheduler that has just started knows no backup service before that has reported.
    """
    api, ends = site.api(), time.monotonic() + BACKUP_SECONDS
    while not over.is_set() or ("backup available" not in book.done and time.monotonic() < ends):
        try:
            made = api.post("/backups", {"backup": {"volume_id": volume}})["backup"]["id"]
            found = api.wait("backup", made, "available", "error", seconds=60)
            book.count(f"backup {found['status']}")
            api.remove("backup", made)
        except (AssertionError, OSError):
            time.sleep(1.0)


def _rest(site: Site) -> dict[str, str]:
    """Return, once nothing moves any more, what was left in between: its request died with the service that had taken it."""
    api, ends = site.api(), time.monotonic() + STUCK_SECONDS
    while True:
        moving = {}
        for kind in ("volumes", "snapshots"):
            for item in api.get(f"/{kind}/detail?all_tenants=1")[kind]:
                if item["status"] not in AT_REST:
                    moving[item["id"]] = item["status"]
        if not moving or time.monotonic() > ends:
            return moving
        time.sleep(1.0)


def _read(site: Site, identifier: str) -> bytes:
    """Return a volume's first bytes as the array serves them to a host of its own, whatever Cinder thinks of it."""
    who = connector("reader")
    host = connections.host_of(who)
    export = site.backend.export(identifier, host, Protocol.ISCSI)
    try:
        with lun(connections.iscsi(export)["data"], who["initiator"]) as client:
            return bytes(client.read(0, PIECE))
    finally:
        site.backend.unexport(identifier, host, Protocol.ISCSI)


def _delete_everything(site: Site) -> None:
    """Do what an operator does after such a day: end what was left in between, and delete it."""
    api = site.api()
    for attachment in api.get("/attachments/detail?all_tenants=1", micro="3.27")["attachments"]:
        api.ask("DELETE", f"/attachments/{attachment['id']}", micro="3.27", headers=AS_SERVICE)
    _delete_all(site, "backups")
    # A clone that was cut off holds the snapshot that it was being made from.
    sources = {item["volume_id"] for item in api.get("/snapshots?all_tenants=1")["snapshots"]}
    _delete_all(site, "volumes", apart_from=sources)
    _delete_all(site, "snapshots")
    _delete_all(site, "volumes")


def _delete_all(site: Site, kind: str, apart_from: Collection[str] = ()) -> None:
    api = site.api()
    wanted = [item for item in api.get(f"/{kind}/detail?all_tenants=1")[kind] if item["id"] not in apart_from]
    for item in wanted:
        _reset_and_delete(site, kind, item)
    for item in wanted:
        api.gone(kind.removesuffix("s"), item["id"])


def _reset_and_delete(site: Site, kind: str, item: dict) -> None:
    api, path = site.api(), f"/{kind}/{item['id']}"
    if item["status"] not in {"available", "error"}:
        wanted = {"status": "error" if kind == "volumes" else "available"}
        if kind == "volumes":
            wanted |= {"attach_status": "detached", "migration_status": None}
        api.post(f"{path}/action", {"os-reset_status": wanted})
    if kind == "volumes" and volume_name(item["id"]) in site.on_array("volumes"):
        # What a killed service has exported, Cinder may not know of.
        for export in site.backend.list_exports(item["id"]):
            site.backend.unexport(item["id"], export.host, Protocol.ISCSI)
    api.delete(path)

"""Export rules of a simulated ONTAP array hold at its real NFS server: who is let in by what the array was told, and who is not.

Hosts come from addresses of the loopback network, of which this machine has every one.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from blockdrivers.backend import Backend
from blockdrivers.errors import AttachError, BlockDriversError, NotFound
from blockdrivers.model import Export, GiB, Host, Protocol
from blockdrivers.plugins import find_model
from conformance.simulation.nfs.ganesha import NfsServer, free_address
from conformance.simulation.opening import open_array, reaching
from conformance.simulation.server import SimulatedArray
from conformance.suite.nfsfile import NfsFile
from vendors.netapp.driver import open_driver
from vendors.netapp.options import OntapOptions
from vendors.netapp.simulator import build

ONE, TWO = Host("cmp01", addresses=("127.0.4.1",)), Host("cmp02", addresses=("127.0.4.2",))
STRANGER = Host("stranger", addresses=("127.0.4.9",))
END = GiB - 5
POLICIES = "protocols/nfs/export-policies"
RULES = f"{POLICIES}/1/rules"
SYS = {"ro_rule": ["sys"], "rw_rule": ["sys"], "superuser": ["sys"]}


class Lab:
    """One simulated array whose files a real server serves, backends on it, and requests past them."""

    def __init__(self, stack: ExitStack, **options) -> None:
        self._stack = stack
        address = free_address()
        family = build("FAS2750", pools=2, nfs=address, **options)
        server = NfsServer(family.files_folder, family.nfs_exports, address)
        family.enforce(server.admit)
        self.array = stack.enter_context(SimulatedArray(family, nfs=server))
        self.backend = self.open()

    def open(self, *, export_rules: bool = True) -> Backend:
        options = reaching(self.array.ready) | self.array.ready["options"]
        told = OntapOptions.model_validate({**options, "volumes": "files", "export_rules": export_rules})
        return self._stack.enter_context(Backend(open_driver(told, "lab"), "lab"))

    def export(self, name: str = "v", host: Host = ONE, pool: str = "pool_a") -> Export:
        self.backend.create_volume(name, GiB, pool)
        return self.backend.export(name, host, Protocol.NFS)

    def ask(self, method: str, path: str, body: dict | None = None) -> None:
        """Change something as an administrator does."""
        self.backend.driver._client.change(method, path, body)

    def records(self, path: str) -> list[dict]:
        return list(self.backend.driver._client.listing(path, fields="*"))

    def assign(self, flexvol: str, **policy) -> None:
        (found,) = self.backend.driver._client.listing("storage/volumes", name=flexvol)
        self.ask("PATCH", f"storage/volumes/{found['uuid']}", {"nas": {"export_policy": policy}})


@pytest.fixture
def lab():
    with ExitStack() as stack:
        yield lambda **options: Lab(stack, **{"nfs_clients": (), **options})


def allowed(export: Export, host: Host) -> str:
    """Return what a host may do with what was exported, whoever to: ``write``, ``read``, ``look`` at the FlexVol, or ``nothing``."""
    for writes in (True, False):
        try:
            file = NfsFile(export.location, host.addresses, writes=writes)
        except AttachError as refused:
            if "could not mount" in str(refused):
                return "nothing"
            continue
        try:
            if writes:
                file.write(END, host.name[-5:].encode())
                file.flush()
                assert file.read(END, 5) == host.name[-5:].encode()
            else:
                assert len(file.read(END, 5)) == 5
        finally:
            file.close()
        return "write" if writes else "read"
    return "look"


def seen(export: Export, *hosts: Host) -> list[str]:
    return [allowed(export, host) for host in hosts or (ONE, TWO, STRANGER)]


def test_a_host_is_let_in_with_its_first_export_and_shut_out_with_its_removal(lab):
    started = lab()
    backend = started.backend
    backend.create_volume("w", GiB, "pool_a")
    # The file is there, and the way to it known: what is refused is the host.
    told = Export("w", "", Protocol.NFS, location=f"{started.array.ready['nfs'][0]}/bdvl-w")
    assert seen(told) == ["nothing"] * 3
    export = started.export("v", ONE)
    assert seen(export) == seen(told) == ["write", "nothing", "nothing"]
    assert backend.export("v", TWO, Protocol.NFS).location == export.location
    assert seen(export) == ["write", "write", "nothing"]
    backend.unexport("v", ONE, Protocol.NFS)
    assert seen(export) == ["write", "write", "nothing"]
    assert allowed(export, ONE) == "write"
    file = NfsFile(export.location, ONE.addresses)
    try:
        assert file.read(END, 5) == b"cmp01"
        backend.remove_host(ONE)
        with pytest.raises(AttachError, match="ACCESS"):
            file.read(0, 5)
    finally:
        file.close()
    assert seen(export) == ["nothing", "write", "nothing"]
    backend.unexport("v", TWO, Protocol.NFS)
    backend.remove_host(TWO)
    assert seen(export) == ["nothing"] * 3


def test_without_export_rules_access_is_the_administrator_s(lab):
    started = lab(nfs_clients=("0.0.0.0/0",))
    backend = started.open(export_rules=False)
    backend.create_volume("v", GiB, "pool_a")
    export = backend.export("v", ONE, Protocol.NFS)
    assert seen(export) == ["write"] * 3
    (rule,) = started.records(RULES)
    started.ask("DELETE", f"{RULES}/{rule['index']}")
    assert seen(export) == ["nothing"] * 3


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([("127.0.4.1", {})], "write nothing nothing"),
        ([("127.0.4.0/30", {})], "write write nothing"),
        ([("127.0.4.0/255.255.255.252", {})], "write write nothing"),
        ([("0.0.0.0/0", {})], "write write write"),
        ([("127.0.4.1 127.0.4.9", {})], "write nothing write"),
        ([("127.0.4.9 2001:db8::1", {}), ("::/0", {})], "nothing nothing write"),
        ([("127.0.4.1", {"rw_rule": ["never"]}), ("0.0.0.0/0", {})], "read write write"),
        ([("127.0.4.1", {"rw_rule": ["krb5", "krb5p"]})], "read nothing nothing"),
        ([("127.0.4.1", {"ro_rule": ["never"]}), ("0.0.0.0/0", {})], "nothing write write"),
        ([("0.0.0.0/0", {"rw_rule": ["never"]}), ("127.0.4.1", {})], "read read read"),
        ([("127.0.4.1", {"ro_rule": ["any"], "rw_rule": ["any"], "superuser": ["any"]})], "write nothing nothing"),
        ([("127.0.4.1", {"protocols": ["nfs4"]}), ("127.0.4.2", {"protocols": ["nfs3"]})], "write nothing nothing"),
        ([("127.0.4.1", {"superuser": ["never"]}), ("127.0.4.2", {"superuser": ["none"]})], "look look nothing"),
        ([("127.0.4.1", {"superuser": ["none"], "anonymous_user": "0"})], "write nothing nothing"),
        ([("127.0.4.1", {"ro_rule": ["none"], "rw_rule": ["none"]})], "look nothing nothing"),
    ],
)
def test_what_a_rule_says_holds(lab, rules, expected):
    started = lab()
    export = started.export("v", Host("nobody", addresses=("192.0.2.1",)))
    started.backend.driver._shares.dismiss("pool_a", ["192.0.2.1"])
    for clients, more in rules:
        started.ask("POST", RULES, {"clients": [{"match": client} for client in clients.split()], **SYS, **more})
    assert seen(export) == expected.split()


def test_a_rule_that_is_changed_holds_as_it_is_now(lab):
    started = lab()
    export = started.export()
    (rule,) = started.records(RULES)
    for rw, superuser, expected in (("never", "sys", "read"), ("sys", "none", "look"), ("sys", "sys", "write")):
        started.ask("PATCH", f"{RULES}/{rule['index']}", {"rw_rule": [rw], "superuser": [superuser]})
        assert seen(export) == [expected, "nothing", "nothing"]
    started.ask("PATCH", f"{RULES}/{rule['index']}", {"clients": [{"match": TWO.addresses[0]}]})
    assert seen(export) == ["nothing", "write", "nothing"]


def test_rules_are_looked_at_by_their_index(lab):
    started = lab()
    export = started.export()
    started.ask("POST", RULES, {"clients": [{"match": "127.0.4.0/24"}], **SYS, "rw_rule": ["never"], "index": 1})
    assert [(rule["index"], rule["clients"][0]["match"]) for rule in started.records(RULES)] == [
        (1, "127.0.4.0/24"),
        (2, ONE.addresses[0]),
    ]
    assert seen(export) == ["read"] * 3
    started.backend.driver._client.change("PATCH", f"{RULES}/1", {}, new_index="2")
    assert [rule["index"] for rule in started.records(RULES)] == [2, 3]
    assert seen(export) == ["read"] * 3
    started.backend.driver._client.change("PATCH", f"{RULES}/3", {}, new_index="1")
    assert seen(export) == ["write", "read", "read"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"clients": []}, "1704036"),
        ({"clients": [{"match": "127.0.4.300"}]}, "1704036"),
        ({"clients": [{"match": "127.0.4.1/24"}]}, "1704036"),
        ({"clients": [{"match": "host.example.org"}]}, "1704036"),
        ({"clients": [{"match": ONE.addresses[0]}]}, "1704070"),
        ({"ro_rule": ["everything"]}, "262197"),
        ({"rw_rule": []}, "262197"),
        ({"protocols": "nfs"}, "262197"),
        ({"anonymous_user": "somebody"}, "262197"),
    ],
)
def test_a_rule_that_is_refused_changes_nothing(lab, change, code):
    started = lab()
    export = started.export()
    before = started.records(RULES)
    with pytest.raises(BlockDriversError) as refused:
        started.ask("POST", RULES, {"clients": [{"match": "0.0.0.0/0"}], **SYS, **change})
    assert refused.value.vendor_code == code
    assert started.records(RULES) == before
    assert seen(export) == ["write", "nothing", "nothing"]


def test_a_flexvol_under_another_policy_is_open_to_whom_that_one_names(lab):
    started = lab()
    export, elsewhere = started.export(), started.export("w", pool="pool_b")
    body = {"svm": {"name": "svm1"}, "name": "guests", "rules": [{"clients": [{"match": TWO.addresses[0]}], **SYS}]}
    started.ask("POST", POLICIES, body)
    assert seen(export) == ["write", "nothing", "nothing"]
    started.assign("pool_a", name="guests")
    assert seen(export) == ["nothing", "write", "nothing"]
    assert seen(elsewhere) == ["write", "nothing", "nothing"]
    (guests,) = [policy for policy in started.records(POLICIES) if policy["name"] == "guests"]
    with pytest.raises(BlockDriversError, match="in use"):
        started.ask("DELETE", f"{POLICIES}/{guests['id']}")
    # A process that begins now adds its rules to the policy that the FlexVol is under.
    started.open().export("v", STRANGER, Protocol.NFS)
    assert seen(export) == ["nothing", "write", "write"]
    assert seen(elsewhere) == ["write", "nothing", "nothing"]
    started.assign("pool_a", id=1)
    assert seen(export) == ["write", "nothing", "nothing"]
    started.ask("DELETE", f"{POLICIES}/{guests['id']}")
    with pytest.raises(NotFound):
        started.assign("pool_a", name="guests")


def test_an_array_that_is_new_again_lets_in_whom_it_did_at_first(lab):
    started = lab(nfs_clients=STRANGER.addresses)
    export = started.export()
    assert seen(export) == ["write", "nothing", "write"]
    started.array.reset()
    assert seen(started.export()) == ["write", "nothing", "write"]
    started.array.reset()
    started.backend.create_volume("v", GiB, "pool_a")
    assert seen(export) == ["nothing", "nothing", "write"]


def test_a_simulated_array_is_open_until_its_rule_is_taken_away():
    """Through the door that ``blockdrivers simulate`` opens."""
    with open_array(find_model("FAS2750"), "FAS2750") as array:
        (array.family.files_folder / "pool_a" / "made-by-a-host").touch()
        os.truncate(array.family.files_folder / "pool_a" / "made-by-a-host", GiB)
        export = Export("v", "", Protocol.NFS, location=f"{array.ready['nfs'][0]}/made-by-a-host")
        assert seen(export) == ["write"] * 3
        options = reaching(array.ready) | array.ready["options"]
        with Backend(open_driver(OntapOptions.model_validate({**options, "volumes": "files"}), "lab"), "lab") as backend:
            backend.driver._client.change("DELETE", f"{RULES}/1")
        assert seen(export) == ["nothing"] * 3

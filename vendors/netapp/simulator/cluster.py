"""The cluster around the SVM: nodes, licences, aggregates, counters, jobs, and what clients ask besides. Source: sections 3.1, 3.11, 5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from conformance.simulation.family import Response
from vendors.netapp.simulator import wire
from vendors.netapp.simulator.state import State, named
from vendors.netapp.simulator.wire import Call, Record, Refusal

_LICENSED: Final = ("nfs", "iscsi", "fcp", "flexclone", "snaprestore")
_UNLICENSED: Final = ("cifs", "snapmirror")
_COUNTERS: Final[Mapping[str, Mapping[str, Record]]] = {
    "system:constituent": {"average_processor_busy_percent": {"denominator": "elapsed_time"}, "elapsed_time": {}},
    "wafl": {
        "total_cp_msecs": {},
        "cp_phase_times": {"labels": ["cp_setup", "cp_pre_p0", "cp_p2_flush", "cp_p5_finish"], "denominator": "total_cp_msecs"},
    },
    "processor": {
        "domain_busy_percent": {"labels": ["idle", "kahuna", "storage"], "denominator": "elapsed_time"},
        "elapsed_time": {},
    },
}
"""Table -> counter -> labels and denominator, as far as known clients ask."""


class Cluster:
    """What is there beside volumes and hosts."""

    def __init__(self, state: State, serial: int) -> None:
        self._state = state
        self._serial = serial
        self._ticks = 0
        self.licences = dict.fromkeys(_LICENSED, True) | dict.fromkeys(_UNLICENSED, False)

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        return {
            ("GET", "cluster"): lambda call: wire.respond(wire.project(self._cluster(), ["name", "uuid", *_wanted(call)], ())),
            ("GET", "cluster/nodes"): self._list("cluster/nodes", self._nodes),
            ("GET", "cluster/licensing/licenses"): self._licences,
            ("GET", "cluster/jobs/{uuid}"): self._job,
            ("GET", "svm/svms"): self._list("svm/svms", self._svms),
            ("GET", "storage/aggregates"): self._list("storage/aggregates", self._aggregates),
            ("GET", "storage/disks"): self._list("storage/disks", self._disks),
            ("GET", "snapmirror/relationships"): self._list("snapmirror/relationships", list),
            ("GET", "storage/file/clone/split-status"): self._list("storage/file/clone/split-status", list),
            ("GET", "cluster/counter/tables/{table}"): self._table,
            ("GET", "cluster/counter/tables/{table}/rows"): self._rows,
            ("GET", "private/cli/volume/efficiency"): self._list("private/cli/volume/efficiency", self._efficiencies),
            ("POST", "support/ems/application-logs"): lambda _: wire.respond({}, 201),
        }

    def is_licensed(self, protocol: str) -> bool:
        """Tell whether a licence is there."""
        return self.licences.get(protocol, False)

    @staticmethod
    def _list(path: str, records: Any) -> Any:
        return lambda call: wire.listed(call, path, records(), ("uuid", "name"))

    def _cluster(self) -> Record:
        generation, major, minor = self._state.release
        full = f"NetApp Release {generation}.{major}.{minor}: Thu Feb 01 10:00:00 UTC 2024"
        version = {"full": full, "generation": generation, "major": major, "minor": minor}
        return {"name": self._state.cluster_name, "uuid": self._state.cluster_uuid, "version": version}

    def _nodes(self) -> list[Record]:
        profile = self._state.profile
        return [
            {
                "uuid": identifier,
                "name": name,
                "model": profile.node_model,
                "serial_number": f"72{self._serial % 10**8:08d}{number:02d}",
                "state": "up",
                "version": self._cluster()["version"],
                "is_all_flash_optimized": profile.all_flash,
                "is_all_flash_select_optimized": False,
            }
            for number, (name, identifier) in enumerate(self._state.nodes.items(), 1)
        ]

    def _svms(self) -> list[Record]:
        aggregates = sorted({flexvol.aggregate for flexvol in self._state.flexvols.values()})
        return [
            {
                **named(self._state.svm_name, self._state.svm_uuid),
                "state": "running",
                "aggregates": [{"name": name} for name in aggregates],
            }
        ]

    def _aggregates(self) -> list[Record]:
        found: dict[str, Record] = {}
        for flexvol in self._state.flexvols.values():
            pool = self._state.pools[flexvol.pool_id]
            record = found.setdefault(
                flexvol.aggregate,
                {
                    "uuid": f"{flexvol.aggregate}-uuid",
                    "name": flexvol.aggregate,
                    "state": "online",
                    "home_node": named(flexvol.node, self._state.nodes[flexvol.node]),
                    "block_storage": {"primary": {"raid_type": "raid_dp"}, "storage_type": self._state.profile.storage},
                    "space": {"block_storage": {"size": 0, "available": 0, "used": 0}},
                },
            )
            space, free = record["space"]["block_storage"], self._state.free(flexvol.pool_id)
            space["size"] += pool.total
            space["available"] += free
            space["used"] += pool.total - free
        return list(found.values())

    def _disks(self) -> list[Record]:
        return [
            {"name": f"1.0.{number}", "effective_type": self._state.profile.disk, "aggregates": [{"name": record["name"]}]}
            for number, record in enumerate(self._aggregates())
        ]

    def _licences(self, call: Call) -> Response:
        """List the packages that are licensed, and others only where the query says so."""
        records = [
            {"name": name, "scope": "cluster", "state": "compliant" if usable else "unlicensed"}
            for name, usable in self.licences.items()
        ]
        shown = records if "state" in call.query else [record for record in records if record["state"] == "compliant"]
        return wire.listed(call, "cluster/licensing/licenses", shown, ("name",))

    def _job(self, call: Call) -> Response:
        job = self._state.job_list.get(call.ids[0])
        if job is None:
            raise Refusal(4, "entry doesn't exist", 404, "uuid")
        record: Record = {"uuid": job.uuid, "description": job.description, "start_time": job.started, "state": "running"}
        if self._state.clock() >= job.ends:
            record |= {"state": "success", "message": "Complete: Successful", "code": 0, "end_time": job.started}
            if job.refusal is not None:
                code, message = job.refusal.code, job.refusal.message
                record |= {"state": "failure", "message": message, "code": code, "error": {"message": message, "code": str(code)}}
        return wire.respond(record)

    def _efficiencies(self) -> list[Record]:
        return [
            {"vserver": self._state.svm_name, "volume": name, "logical_data_size": 0, "logical_data_limit": 703687441776640}
            for name in self._state.flexvols
        ]

    # Counters

    def _known_table(self, call: Call) -> Mapping[str, Record]:
        if call.ids[0] not in _COUNTERS:
            raise Refusal(8585320, f'The counter table "{call.ids[0]}" does not exist.', 404)
        return _COUNTERS[call.ids[0]]

    def _table(self, call: Call) -> Response:
        wanted = call.query.get("counter_schemas.name", "*").split("|")
        schemas = [
            {"name": name, "type": "rate", "unit": "none"} | ({"denominator": {"name": facts["denominator"]}} if facts else {})
            for name, facts in self._known_table(call).items()
            if wanted == ["*"] or name in wanted
        ]
        return wire.respond({"name": call.ids[0], "counter_schemas": schemas})

    def _rows(self, call: Call) -> Response:
        table = self._known_table(call)
        wanted = call.query.get("counters.name", "*").split("|")
        self._ticks += 1000
        counters = [
            {"name": name}
            | (
                {"labels": facts["labels"], "values": [self._ticks] * len(facts["labels"])}
                if "labels" in facts
                else {"value": self._ticks}
            )
            for name, facts in table.items()
            if wanted == ["*"] or name in wanted
        ]
        instances = ("processor0", "processor1") if call.ids[0] == "processor" else (call.ids[0].partition(":")[0],)
        rows = [
            {"id": f"{node}:{instance}", "counter_table": {"name": call.ids[0]}, "counters": counters}
            for node in self._state.nodes
            for instance in instances
        ]
        conditions = {key: value for key, value in call.query.items() if key != "counters.name"}
        return wire.listed(Call(call.method, call.ids, conditions, call.body), "cluster/counter/tables", rows, ("id",))


def _wanted(call: Call) -> list[str]:
    return [field for field in call.query.get("fields", "*").split(",") if field]

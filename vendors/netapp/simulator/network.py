"""LIFs, services and logins. Source: protocol sheet, section 3.5."""

from __future__ import annotations

from typing import Any

from conformance.simulation.dataplane import Identity
from vendors.netapp.simulator import wire
from vendors.netapp.simulator.state import State, is_wwpn, named, new_uuid, with_colons
from vendors.netapp.simulator.wire import Record

IP = "network/ip/interfaces"
FC = "network/fc/interfaces"
_ISCSI_SERVICES = ["data_core", "data_iscsi"]
_NFS_SERVICES = ["data_nfs"]
_ISCSI_PORT = 3260
_FC_LIFS = 4


class Network:
    """How hosts reach the array."""

    def __init__(self, state: State) -> None:
        self._state = state
        nodes = list(state.nodes)
        self.iqn = f"iqn.1992-08.com.netapp:sn.{state.cluster_uuid.replace('-', '')}:vs.3"
        self._portals = [(ip, nodes[number % len(nodes)], new_uuid()) for number, ip in enumerate(state.options.portals)]
        self._nfs_lif = new_uuid()
        tail = state.cluster_uuid.replace("-", "")[-8:]
        own = tuple(f"20{number:02x}00a0{tail}" for number in range(_FC_LIFS * max(1, len(nodes) // 2)))
        wwpns = own if state.options.fc_ports is None else state.options.fc_ports
        self._fc = [(wwpn, nodes[number % len(nodes)], new_uuid()) for number, wwpn in enumerate(wwpns)]
        state.data_plane.identify(Identity("NETAPP", "LUN C-Mode", {ip: self.iqn for ip, _, _ in self._portals}))

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        return {
            ("GET", IP): lambda call: wire.listed(call, IP, self._ip_records(), ("uuid", "name")),
            ("GET", FC): lambda call: wire.listed(call, FC, self._fc_records(), ("uuid", "name")),
            ("GET", "network/fc/logins"): lambda call: wire.listed(
                call, "network/fc/logins", self._logins(), ("interface.uuid", "interface.name", "initiator.wwpn")
            ),
            ("GET", "protocols/san/iscsi/services"): lambda call: wire.listed(
                call, "protocols/san/iscsi/services", [self._iscsi_service()], ("svm",)
            ),
            ("GET", "protocols/san/fcp/services"): lambda call: wire.listed(
                call, "protocols/san/fcp/services", [{"enabled": True, "svm": self._svm}], ("svm",)
            ),
            ("GET", "protocols/san/iscsi/sessions"): lambda call: wire.listed(call, "protocols/san/iscsi/sessions", [], ("svm",)),
        }

    @property
    def _svm(self) -> Record:
        return named(self._state.svm_name, self._state.svm_uuid)

    def portals(self) -> list[Record]:
        """Return portal addresses with the one IQN of the SVM."""
        return [{"portal": f"{ip}:{_ISCSI_PORT}", "iqn": self.iqn} for ip, _, _ in self._portals]

    def target_wwpns(self) -> list[str]:
        """Return the WWPNs of the FC LIFs."""
        return [wwpn for wwpn, _, _ in self._fc]

    def _iscsi_service(self) -> Record:
        return {"enabled": True, "svm": self._svm, "target": {"name": self.iqn, "alias": self._state.svm_name}}

    def _ip_records(self) -> list[Record]:
        """Render the data LIFs: those of the portals, and that of the NFS server where it has an address of its own."""
        nfs = self._state.options.nfs
        lifs = [(ip, node, identifier, _ISCSI_SERVICES) for ip, node, identifier in self._portals]
        if nfs is None:
            lifs = [(ip, node, identifier, [*services, *_NFS_SERVICES]) for ip, node, identifier, services in lifs]
        else:
            lifs.append((nfs, next(iter(self._state.nodes)), self._nfs_lif, ["data_core", *_NFS_SERVICES]))
        return [
            {
                "uuid": identifier,
                "name": f"lif_data_{number}",
                "ip": {"address": ip, "netmask": "8", "family": "ipv4"},
                "enabled": True,
                "state": "up",
                "scope": "svm",
                "svm": self._svm,
                "services": services,
                "location": {"node": named(node, self._state.nodes[node]), "is_home": True},
            }
            for number, (ip, node, identifier, services) in enumerate(lifs, 1)
        ]

    def _fc_records(self) -> list[Record]:
        return [
            {
                "uuid": identifier,
                "name": f"lif_fc_{number + 1}",
                "wwpn": with_colons(wwpn),
                "wwnn": with_colons(f"2100{wwpn[4:]}"),
                "enabled": True,
                "state": "up",
                "data_protocol": "fcp",
                "svm": self._svm,
                "location": {"node": named(node, self._state.nodes[node])},
            }
            for number, (wwpn, node, identifier) in enumerate(self._fc)
        ]

    def _logins(self) -> list[Record]:
        """Every initiator of the fabric is logged in at every FC LIF."""
        groups = self._state.igroups.values()
        return [
            {
                "initiator": {"wwpn": with_colons(initiator), "wwnn": with_colons(f"20{initiator[2:]}")},
                "interface": {"uuid": lif["uuid"], "name": lif["name"], "wwpn": lif["wwpn"]},
                "igroups": [named(group.name, group.uuid) for group in groups if with_colons(initiator) in group.initiators],
                "protocol": "fcp",
                "svm": self._svm,
            }
            for initiator in self._state.logged_in
            if is_wwpn(initiator)
            for lif in self._fc_records()
        ]

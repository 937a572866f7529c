"""Export policies, their rules, and whom an NFS server lets in by them.

Source: protocol sheet, section 3.10; what rules leave out, how clients are spelled and where a rule is put, from the vendor's own client.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from conformance.simulation.family import Response
from conformance.simulation.nfs.admission import Access, Admission, Admit, Squash
from vendors.netapp.simulator import wire
from vendors.netapp.simulator.state import FlexVol, State, named
from vendors.netapp.simulator.wire import Call, Record, Refusal

_POLICIES = "protocols/nfs/export-policies"
_RULES = f"{_POLICIES}/{{id}}/rules"
_FIELDS = ("clients", "protocols", "ro_rule", "rw_rule", "superuser", "anonymous_user")
_FLAVOURS: Final = frozenset({"any", "none", "never", "krb5", "krb5i", "krb5p", "ntlm", "sys"})
_AS_THEMSELVES: Final = frozenset({"any", "sys"})
"""Hosts come with AUTH_SYS: what lets those in under their own user ids."""
_ANONYMOUSLY: Final = "none"
_PROTOCOLS: Final = frozenset({"any", "nfs", "nfs3", "nfs4", "cifs", "flexcache"})
_SERVED: Final = frozenset({"any", "nfs", "nfs4"})
"""What the NFS server speaks: NFSv4."""
_LONGEST_NAME: Final = 256
_NO_POLICY: Final = 1703954
_BAD_MATCH: Final = 1704036


@dataclass(slots=True)
class Policy:
    """An export policy."""

    id: int
    name: str
    rules: dict[int, Record] = field(default_factory=dict)
    """By index, in whose order they are looked at."""


class Exports:
    """The SVM's export policies.

    Args:
        state: of the array.
        clients: whom the policy ``default``, that of every FlexVol, lets in from the start; ONTAP's own has no rule.
        admit: tells the NFS server whom the FlexVols' policies let in; see `enforce`.
    """

    def __init__(self, state: State, clients: Sequence[str], admit: Admit) -> None:
        self._state = state
        self.admit = admit
        self._policies = {1: Policy(1, "default")}
        self._given = 1
        if clients:
            rule = {"clients": [{"match": client} for client in clients], "ro_rule": ["any"], "rw_rule": ["any"]}
            self._policies[1].rules[1] = _checked({**rule, "superuser": ["any"]})

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        policy, rule = f"{_POLICIES}/{{id}}", f"{_RULES}/{{index}}"
        return {
            ("GET", _POLICIES): lambda call: wire.listed(call, _POLICIES, self._records(), ("id", "name")),
            ("POST", _POLICIES): self._create,
            ("GET", policy): lambda call: wire.one(call, _POLICIES, self._record(self._policy(call))),
            ("DELETE", policy): self._delete,
            ("GET", _RULES): self._list_rules,
            ("POST", _RULES): self._add_rule,
            ("GET", rule): lambda call: wire.one(call, _RULES, self._rule(call)),
            ("PATCH", rule): self._change_rule,
            ("DELETE", rule): self._drop_rule,
        }

    def of(self, flexvol: FlexVol) -> Record:
        """Return how a FlexVol's record refers to its policy."""
        policy = self._policies[flexvol.export_policy]
        return {"name": policy.name, "id": policy.id}

    def assign(self, flexvol: FlexVol, wanted: Record) -> None:
        """Put a FlexVol under the policy of a name or an id."""
        wire.only(wanted, "name", "id")
        for policy in self._policies.values():
            here = {"name": policy.name, "id": policy.id}
            if wanted and all(str(here[key]) == str(value) for key, value in wanted.items()):
                flexvol.export_policy = policy.id
                self.enforce()
                return
        raise _no_policy()

    def enforce(self) -> None:
        """Let the NFS server admit whom the policies of the FlexVols let in."""
        self.admit(
            {
                flexvol.name: [_admission(rule) for _, rule in sorted(self._policies[flexvol.export_policy].rules.items())]
                for flexvol in self._state.flexvols.values()
            }
        )

    def dump(self) -> list[Record]:
        """Return the rules for the state dump."""
        return [
            {"policy": policy.name, "clients": rule["clients"]}
            for policy in self._policies.values()
            for _, rule in sorted(policy.rules.items())
        ]

    # Policies

    def _records(self) -> list[Record]:
        return [self._record(policy) for policy in self._policies.values()]

    def _record(self, policy: Policy) -> Record:
        rules = [self._rule_record(policy, index) for index in sorted(policy.rules)]
        return {
            "id": policy.id,
            "name": policy.name,
            "svm": named(self._state.svm_name, self._state.svm_uuid),
            "rules": [{key: rule[key] for key in ("index", *_FIELDS)} for rule in rules],
        }

    def _policy(self, call: Call) -> Policy:
        identifier = call.ids[0]
        if not identifier.isdecimal() or int(identifier) not in self._policies:
            raise _no_policy()
        return self._policies[int(identifier)]

    def _create(self, call: Call) -> Response:
        wire.only(call.body, "svm", "name", "rules")
        name = wire.text(call.body, "name")
        if not name or " " in name or len(name) > _LONGEST_NAME:
            raise Refusal(262197, f'The value "{name}" is invalid for field "name".', target="name")
        if any(policy.name == name for policy in self._policies.values()):
            raise Refusal(1, "duplicate entry", 409, "name")
        rules = [_checked(rule) for rule in call.body.get("rules") or []]
        self._given += 1
        made = self._policies[self._given] = Policy(self._given, name, dict(enumerate(rules, 1)))
        content: Record = {"num_records": 1} | ({"records": [self._record(made)]} if call.wants_records else {})
        return wire.respond(content, 201, (("Location", f"/api/{_POLICIES}/{made.id}"),))

    def _delete(self, call: Call) -> Response:
        policy = self._policy(call)
        if policy.name == "default":
            raise Refusal(1703945, "The policy is the default one of the SVM.", 409)
        if any(flexvol.export_policy == policy.id for flexvol in self._state.flexvols.values()):
            raise Refusal(1703953, "The policy is in use by a volume.", 409)
        del self._policies[policy.id]
        return wire.respond({})

    # Rules

    def _rule_record(self, policy: Policy, index: int) -> Record:
        svm = named(self._state.svm_name, self._state.svm_uuid)
        return {"index": index, **policy.rules[index], "policy": {"id": policy.id, "name": policy.name}, "svm": svm}

    def _list_rules(self, call: Call) -> Response:
        policy = self._policy(call)
        records = [self._rule_record(policy, index) for index in sorted(policy.rules)]
        return wire.listed(call, f"{_POLICIES}/{policy.id}/rules", records, ("index",))

    def _found(self, call: Call) -> tuple[Policy, int]:
        policy, index = self._policy(call), call.ids[1]
        if not index.isdecimal() or int(index) not in policy.rules:
            raise Refusal(4, "entry doesn't exist", 404)
        return policy, int(index)

    def _rule(self, call: Call) -> Record:
        return self._rule_record(*self._found(call))

    def _add_rule(self, call: Call) -> Response:
        wire.only(call.body, *_FIELDS, "index")
        policy = self._policy(call)
        rule = _checked({key: value for key, value in call.body.items() if key != "index"})
        if any(other["clients"] == rule["clients"] for other in policy.rules.values()):
            raise Refusal(1704070, "The rule exists.", 409)
        index = wire.number(call.body, "index") or max(policy.rules, default=0) + 1
        _insert(policy.rules, index, rule)
        self.enforce()
        content: Record = {"num_records": 1}
        if call.wants_records:
            content["records"] = [self._rule_record(policy, index)]
        return wire.respond(content, 201, (("Location", f"/api/{_POLICIES}/{policy.id}/rules/{index}"),))

    def _change_rule(self, call: Call) -> Response:
        wire.only(call.body, *_FIELDS)
        policy, index = self._found(call)
        rule = _checked({**policy.rules[index], **call.body})
        to = wire.number(call.query, "new_index") or index
        del policy.rules[index]
        _insert(policy.rules, to, rule)
        self.enforce()
        return wire.respond({})

    def _drop_rule(self, call: Call) -> Response:
        policy, index = self._found(call)
        del policy.rules[index]
        self.enforce()
        return wire.respond({})


def _no_policy() -> Refusal:
    return Refusal(_NO_POLICY, "The export policy does not exist.", 404)


def _insert(rules: dict[int, Record], index: int, rule: Record) -> None:
    """Put a rule where it is to stand; the ones that stand there move on."""
    while index in rules:
        rules[index], rule = rule, rules[index]
        index += 1
    rules[index] = rule


def _checked(rule: Any) -> Record:
    """Return a rule, what it leaves out filled in."""
    if not isinstance(rule, dict):
        raise Refusal(262197, f'The value "{rule}" is invalid for field "rules".', target="rules")
    wire.only(rule, *_FIELDS)
    full = {"protocols": ["any"], "superuser": ["any"], "anonymous_user": "65534", **rule}
    for name, known in (("protocols", _PROTOCOLS), ("ro_rule", _FLAVOURS), ("rw_rule", _FLAVOURS), ("superuser", _FLAVOURS)):
        found = full.get(name)
        if not isinstance(found, list) or not found or not known.issuperset(map(str, found)):
            raise Refusal(262197, f'The value "{found}" is invalid for field "{name}".', target=name)
    if not str(full["anonymous_user"]).isdecimal():
        raise Refusal(262197, "This simulator knows no users by name.", target="anonymous_user")
    clients = full.get("clients")
    if not isinstance(clients, list) or not clients:
        raise Refusal(_BAD_MATCH, "A rule names at least one client.", target="clients")
    for client in clients:
        _network(wire.text(client, "match"))
    return full


def _network(match: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return the addresses of a client match: an address, or a network without bits of a host, its mask in bits or in full."""
    try:
        return ipaddress.ip_network(match)
    except ValueError:
        raise Refusal(_BAD_MATCH, f'The client match "{match}" is not valid.', target="clients.match") from None


def _admission(rule: Record) -> Admission:
    """Return what a rule is to an NFS server that speaks NFSv4 with AUTH_SYS over IPv4."""
    networks = [_network(client["match"]) for client in rule["clients"]] if _SERVED & set(rule["protocols"]) else []
    reads, writes = set(rule["ro_rule"]), set(rule["rw_rule"])
    squash = Squash.NOBODY if _AS_THEMSELVES & set(rule["superuser"]) else Squash.ROOT
    if any(_ANONYMOUSLY in flavours and not _AS_THEMSELVES & flavours for flavours in (reads, writes)):
        # The server cannot tell a client's reads from its writes here: where either is the anonymous user's, both are.
        squash = Squash.EVERYBODY
    return Admission(
        networks=tuple(str(network) for network in networks if isinstance(network, ipaddress.IPv4Network)),
        access=(Access.WRITE if _lets_in(writes) else Access.READ) if _lets_in(reads) else Access.NOTHING,
        squash=squash,
        anonymous=int(rule["anonymous_user"]),
    )


def _lets_in(flavours: set[str]) -> bool:
    return bool((_AS_THEMSELVES | {_ANONYMOUSLY}) & flavours)

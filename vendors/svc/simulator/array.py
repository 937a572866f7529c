"""A simulated array of this family: its command interpreter, and the doors that lead to it. Source: protocol sheets, sections 1 and 2."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from conformance.simulation.dataplane import DataPlane
from conformance.simulation.engine import OutOfLuns, OutOfSpace
from conformance.simulation.family import Command as Line
from conformance.simulation.family import Door, HttpDoor, Output, SshDoor, client_facts
from vendors.svc.simulator import codes, shell
from vendors.svc.simulator.codes import Refusal
from vendors.svc.simulator.engine import Engine
from vendors.svc.simulator.hosts import Hosts
from vendors.svc.simulator.maps import Maps
from vendors.svc.simulator.mirrors import Mirrors
from vendors.svc.simulator.pools import Pools
from vendors.svc.simulator.profiles import PROFILES, Profile
from vendors.svc.simulator.rest import Rest
from vendors.svc.simulator.shell import Answer, Command, Given
from vendors.svc.simulator.state import Options, State
from vendors.svc.simulator.storage import Storage
from vendors.svc.simulator.system import System
from vendors.svc.simulator.throttles import Throttles

_SERIALS: Final = itertools.count(secrets.randbits(40))
_MOST_CONNECTIONS: Final = 32
_NOT_FOUND: Final = 127


@dataclass(frozen=True, slots=True)
class Done:
    """How one command has ended: with an answer, or refused."""

    given: Given
    answer: Answer = None
    code: str | None = None


class SvcArray:
    """One array at the wire; see `conformance.simulation.family.Family`."""

    def __init__(self, model: str, options: Options, data_plane: DataPlane, clock: Callable[[], float]) -> None:
        self.model = model
        self.username = "superuser"
        self.password = secrets.token_urlsafe(12)
        self.profile: Profile = PROFILES[model]
        self._options = options
        self._data_plane = data_plane
        self._clock = clock
        self._rest = Rest(self)
        self._begin()

    def reset(self) -> None:
        """Become a new array; what the old one served is served no more."""
        with self._state.array.lock:
            self._state.array.clear()
            self._begin()

    def _begin(self) -> None:
        serial = next(_SERIALS) & (2**60 - 1)
        array = Engine(serial, self._options.pools, self._data_plane, self._clock)
        self._state = State(array, self.profile, self._options)
        self._system = System(self._state, serial)
        self._pools = Pools(self._state)
        self._storage = Storage(self._state)
        self._mirrors = Mirrors(self._state, self._storage)
        self._maps = Maps(self._state)
        self._hosts = Hosts(self._state)
        self._throttles = Throttles(self._state)
        self._commands: dict[str, Command] = {}
        for part in (self._system, self._pools, self._storage, self._mirrors, self._maps, self._hosts, self._throttles):
            self._commands |= part.commands()
        self._rest.forget()

    def doors(self) -> Sequence[Door]:
        """Return the command line, and REST where the model has it."""
        ssh = SshDoor(CommandLine(self), max_connections=_MOST_CONNECTIONS)
        return (ssh, HttpDoor(self._rest, "/rest/v1/")) if self.profile.rest else (ssh,)

    def run(self, verb: str, take: Callable[[Command], Given]) -> Done:
        """Carry one command out under the array's lock; `take` sorts its parameters."""
        given = Given()
        command = self._commands.get(verb)
        try:
            if command is None:
                raise Refusal(codes.NO_COMMAND)
            given = take(command)
            with self._state.array.lock:
                self._maps.settle()
                self._mirrors.settle()
                return Done(given, command.run(given))
        except Refusal as refusal:
            return Done(given, code=refusal.code)
        except OutOfSpace:
            return Done(given, code=codes.OUT_OF_SPACE)
        except OutOfLuns:
            return Done(given, code=codes.LIMIT)

    def is_known(self, verb: str) -> bool:
        """Tell whether the array has that verb."""
        return verb in self._commands

    @property
    def joins(self) -> bool:
        """Whether its shell takes several commands on one line."""
        return self._options.joins

    def expire_sessions(self, controller: str | None = None) -> None:
        """End the sessions over REST."""
        self._rest.forget(controller)

    def set_full(self, full: bool) -> None:
        """Fill every pool, or end that."""
        self._state.array.full = full

    def set_licence(self, feature: str, usable: bool) -> None:
        """Grant or take a licence."""
        self._state.licences[feature] = usable

    def set_fabric(self, wwpns: Sequence[str]) -> None:
        """Say which FC initiators are logged in."""
        with self._state.array.lock:
            self._hosts.set_fabric(wwpns)

    def ready(self) -> Mapping[str, Any]:
        """Return pools, portals and FC ports."""
        portals, wwpns = self._system.portals(), self._system.target_wwpns()
        return client_facts([pool.name for pool in self._state.array.pools.values()], portals, wwpns)

    def state(self) -> Mapping[str, Any]:
        """Return every object, by kind."""
        with self._state.array.lock:
            self._maps.settle()
            self._mirrors.settle()
            return {
                "pools": self._pools.dump(),
                "volumes": self._storage.dump(),
                "copies": self._maps.dump(),
                "groups": self._maps.group_dump(),
                "hosts": self._hosts.dump(),
                "initiators": self._hosts.initiator_dump(),
                "mappings": self._hosts.mapping_dump(),
                "qos": self._throttles.dump(),
            }


class CommandLine:
    """The restricted shell behind SSH: one or several commands on a line; see `conformance.simulation.family.Handler`."""

    def __init__(self, array: SvcArray) -> None:
        self._array = array

    def operation(self, request: Line) -> str:
        """Return the verbs of the line, joined by plus signs; a filtered inquiry is counted apart."""
        try:
            found = [self._words(words) for words in shell.commands(request.line)]
        except ValueError:
            return "unreadable"
        return "+".join(_shown(words) for words in found if words[:1] != ["echo"]) or "echo"

    def handle(self, request: Line) -> Output:
        """Carry out a line, command by command; its exit status is the last one's."""
        try:
            lines = shell.commands(request.line)
        except ValueError as wrong:
            return Output(stderr=f"rbash: {wrong}\n", status=1)
        if len(lines) > 1 and not self._array.joins:
            return Output(stderr="rbash: syntax error near unexpected token ';'\n", status=2)
        out, errors, status, code = "", "", 0, None
        for words in lines:
            result = self._one([word.replace("$?", str(status)) for word in words])
            out, errors, status, code = out + result.stdout, errors + result.stderr, result.status, code or result.code
        return Output(out, errors, status, code)

    def busy(self, request: Line) -> Output:
        """Answer that the object is not ready."""
        return _refused(codes.NOT_READY)

    def refusal(self, request: Line, code: str) -> Output:
        """Answer with that number."""
        return _refused(code)

    def _one(self, words: Sequence[str]) -> Output:
        if words[0] == "echo":
            return Output(stdout=" ".join(words[1:]) + "\n")
        verb, *rest = self._words(words)
        if not verb or (verb == words[0] and not self._array.is_known(verb) and not verb.startswith(("ls", "mk"))):
            return Output(stderr=f"rbash: {words[0]}: command not found\n", status=_NOT_FOUND)
        done = self._array.run(verb, lambda command: shell.parse(command, rest))
        if done.code is not None:
            return _refused(done.code)
        try:
            return Output(stdout=shell.printed(done.answer, done.given))
        except Refusal as refusal:
            return _refused(refusal.code)

    def _words(self, words: Sequence[str]) -> list[str]:
        """Return a command's words without the prefix that says whether it lists or changes."""
        prefixes = (self._array.profile.words.inquiry, self._array.profile.words.action)
        return list(words[1:]) or [""] if words[0] in prefixes else list(words)


def _shown(words: Sequence[str]) -> str:
    return words[0] + ("?filter" if "-filtervalue" in words else "")


def _refused(code: str) -> Output:
    return Output(stderr=f"{code} {codes.TEXTS.get(code, 'Unknown error.')}\n", status=1, code=code)

"""The same commands over HTTPS: POST only, flags as JSON, every value text. Source: IBM sheet, section 9."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from blockdrivers.errors import Ambiguous, BlockDriversError, Busy, LoginRefused, ProtocolError
from blockdrivers.transport.command import HIDDEN, Secret
from blockdrivers.transport.http import HttpTransport, Login, Response, Send
from vendors.svc import codes
from vendors.svc.answers import Answer
from vendors.svc.grammar import Ask, Call, Section
from vendors.svc.options import SvcOptions

_OK: Final = 200
_SERVER_ERROR: Final = 500
_REFUSED_LOGIN: Final = frozenset({401, 403})
_EXPIRED: Final = frozenset({401, 403})
_CREATED: Final = re.compile(r"\[(\d+)\],? successfully created")


class RestCommands:
    """Sends calls as requests, each one by itself."""

    def __init__(self, options: SvcOptions, name: str) -> None:
        self._transport = HttpTransport(
            options.addresses,
            tls=options.verification,
            authenticator=TokenLogin(options),
            max_connections=options.max_connections,
            name=name,
            answered=lambda response: _refusal_in(response) is not None,
        )

    @property
    def joins(self) -> bool:
        """Every call is a request of its own."""
        return False

    def close(self) -> None:
        """Close the connections; this interface has no logout."""
        self._transport.close()

    def send(self, calls: Sequence[Call]) -> list[Answer]:
        """Send calls in order, up to the first change that is refused."""
        answers: list[Answer] = []
        for call in calls:
            answers.append(self._one(call))
            if call.changes and answers[-1].error is not None:
                break
        return answers

    def _one(self, call: Call) -> Answer:
        path = call.verb if call.target is None else f"{call.verb}/{quote(call.target, safe='')}"
        body = {name: _plain(value) for name, value in call.flags.items() if value is not False}
        response = self._transport.request("POST", path, json=body, changes=call.changes, operation=call.verb)
        if code := _refusal_in(response):
            return Answer(error=_error(code, response, call))
        if response.status != _OK:
            raise _failed(call, response)
        return _read(call, response)


class TokenLogin:
    """A session is a token; the array answers 403 once it is over."""

    def __init__(self, options: SvcOptions) -> None:
        self._options = options

    def login(self, send: Send) -> Login:
        """Log in at one address."""
        password = self._options.password
        headers = {
            "X-Auth-Username": self._options.username,
            "X-Auth-Password": password.get_secret_value() if password else "",
        }
        response = send("POST", "auth", json={}, headers=headers)
        if response.status in _REFUSED_LOGIN:
            raise LoginRefused("The array refused the login; check user name and password.", request="auth")
        if response.status != _OK:
            raise Busy(f"The array answered a login with HTTP status {response.status}.", request="auth")
        answer = response.json()
        if not isinstance(answer, dict) or not isinstance(answer.get("token"), str):
            raise ProtocolError("The login answer has no token.", request="auth")
        return Login(headers={"X-Auth-Token": answer["token"]})

    def logout(self, send: Send, login: Login) -> None:
        """Do nothing: the token ends by itself."""

    def expired(self, response: Response) -> bool:
        """Tell whether the array answered that the session is over."""
        return response.status in _EXPIRED and _refusal_in(response) is None


def _plain(value: object) -> object:
    """Return a flag as the interface takes it: text, or true."""
    if isinstance(value, Secret):
        return value.value
    return value if value is True else str(value)


def _refusal_in(response: Response) -> str | None:
    """Return the number of a refusal; the body is a text that holds it."""
    if response.status == _OK:
        return None
    match = codes.PATTERN.search(response.body.decode(errors="replace"))
    return match[0] if match else None


def _error(code: str, response: Response, call: Call) -> BlockDriversError:
    text = response.body.decode(errors="replace")
    for value in call.flags.values():
        if isinstance(value, Secret) and value.value:
            # Arrays quote what they refuse.
            text = text.replace(value.value, HIDDEN)
    return codes.error(code, text.partition(code)[2].strip(" :")[:200], request=call.verb)


def _failed(call: Call, response: Response) -> BlockDriversError:
    kind = Ambiguous if call.changes else Busy
    return kind(f"The array answered with HTTP status {response.status} and no number.", request=call.verb)


def _read(call: Call, response: Response) -> Answer:
    if not isinstance(call, Ask):
        return Answer(created=_created(call, response))
    answer = _content(call, response) if response.body.strip() else []
    objects = [answer] if isinstance(answer, dict) else answer
    if not isinstance(objects, list) or not all(isinstance(item, dict) for item in objects):
        raise ProtocolError("The array's answer holds no objects.", request=call.verb)
    if call.detail and not objects:
        raise Busy("The array answered nothing about an object.", request=call.verb)
    return Answer(sections=[Section(list(_pairs(item))) for item in objects])


def _content(call: Ask, response: Response) -> Any:
    try:
        return response.json()
    except ProtocolError as error:
        if call.private:
            raise ProtocolError("The answer is not JSON.", request=call.verb) from None
        error.request = error.request or call.verb
        raise


def _created(call: Call, response: Response) -> str | None:
    if not response.body.strip():
        return None
    try:
        answer = response.json()
        message = answer.get("message", "") if isinstance(answer, dict) else None
    except ProtocolError as error:
        raise Ambiguous("The answer to a changing request cannot be read.", request=call.verb) from error
    if message is None:
        raise Ambiguous("The answer to a changing request is no object.", request=call.verb)
    match = _CREATED.search(str(message))
    return match[1] if match else str(answer.get("id") or "") or None


def _pairs(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield an object's fields; what is gathered in a list comes out one by one, as the command line prints it."""
    for name, value in item.items():
        if isinstance(value, list):
            for entry in value:
                if isinstance(entry, dict):
                    yield from _pairs(entry)
        else:
            yield name, "" if value is None else str(value)

"""The wire of the Web Services API: session keys, JSON, queries and error codes.

It knows nothing of volumes as the library sees them: objects are the array's own JSON. Source: protocol sheet, sections 1, 3.1, 3.14, 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

from blockdrivers.errors import Ambiguous, Busy, ProtocolError
from blockdrivers.transport.http import HttpTransport, Login, Response, Send
from vendors.hpe import codes
from vendors.hpe.options import WsapiOptions

Object = Mapping[str, Any]

_KEY_HEADER: Final = "X-HP3PAR-WSAPI-SessionKey"
_SUCCESSES: Final = frozenset({200, 201})
_FORBIDDEN: Final = 403
_UNAVAILABLE: Final = 503


class WsapiClient:
    """One array's Web Services API; shared by threads."""

    def __init__(self, options: WsapiOptions, name: str) -> None:
        self._transport = HttpTransport(
            options.addresses,
            tls=options.tls,
            authenticator=WsapiLogin(options),
            max_connections=options.max_connections,
            name=name,
            answered=_is_refusal,
        )

    def close(self) -> None:
        """Give the session keys back and close the connections."""
        self._transport.close()

    def version(self) -> Object:
        """Return version and build of the interface; newer builds tell them to who is logged in only."""
        return _object(self._call("GET", "api", absolute=True))

    def read(self, *path: str) -> Object:
        """Send a GET and return the object."""
        return _object(self._call("GET", _path(path)))

    def members(self, *path: str, query: str = "") -> list[Object]:
        """Send a GET and return the members of the list; with a query, those that it names.

        There are no pages. A query is written without its quotes: ``volumeName EQ v``.
        """
        answer = _object(self._call("GET", _path(path), params={"query": f'"{query}"'} if query else {}))
        found = answer.get("members", [])
        if not isinstance(found, list):
            raise ProtocolError(f"The answer's members are {type(found).__name__}, not a list.", request=f"GET {_path(path)}")
        return [_object(item) for item in found]

    def post(self, *path: str, body: Object, changes: bool = True) -> str:
        """Send a POST and return the last part of ``Location``: what the array calls the object that it made."""
        return self.posted(*path, body=body, changes=changes)[1]

    def posted(self, *path: str, body: Object, changes: bool = True) -> tuple[Object, str]:
        """Send a POST and return the answer's object, empty where there is none, and the last part of ``Location``."""
        response = self._response("POST", _path(path), body=body, changes=changes)
        location = unquote(response.headers.get("Location", "").rpartition("/")[2])
        return _object(_judged(response, f"POST {_path(path)}", changes=changes)), location

    def put(self, *path: str, body: Object) -> Object:
        """Send a PUT and return the answer's object, empty where there is none."""
        return _object(self._call("PUT", _path(path), body=body))

    def delete(self, *path: str) -> None:
        """Send a DELETE."""
        self._call("DELETE", _path(path))

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        params: Mapping[str, str] | None = None,
        absolute: bool = False,
    ) -> Any:
        changes = method != "GET"
        response = self._response(method, path, body=body, params=params, absolute=absolute, changes=changes)
        return _judged(response, f"{method} {path}", changes=changes)

    def _response(
        self,
        method: str,
        path: str,
        *,
        body: Object | None,
        changes: bool,
        params: Mapping[str, str] | None = None,
        absolute: bool = False,
    ) -> Response:
        return self._transport.request(
            method,
            path,
            json=body,
            params=params or {},
            absolute=absolute,
            changes=changes,
            operation=f"{method} {path}",
        )


class WsapiLogin:
    """How a session key is taken and given back, and how it is seen to be over (sheet, section 1)."""

    def __init__(self, options: WsapiOptions) -> None:
        self._options = options

    def login(self, send: Send) -> Login:
        """Take a key."""
        body = {"user": self._options.username, "password": self._options.password.get_secret_value()}
        response = send("POST", "credentials", json=body)
        if response.status == _UNAVAILABLE:
            raise Busy(
                "The array gives no session key now: it is too busy, or all are taken; showwsapisession tells who has them."
            )
        answer = _object(_judged(response, "POST credentials", changes=False))
        if not isinstance(answer.get("key"), str):
            raise ProtocolError("The login answer has no key.", request="POST credentials")
        return Login(headers={_KEY_HEADER: answer["key"]})

    def logout(self, send: Send, login: Login) -> None:
        """Give a key back."""
        send("DELETE", f"credentials/{login.headers[_KEY_HEADER]}", headers=login.headers)

    def expired(self, response: Response) -> bool:
        """Tell whether the array knows the key no more; every other 403 is about the request itself."""
        if response.status != _FORBIDDEN:
            return False
        try:
            return _code(response) == codes.SESSION_INVALID
        except ProtocolError:
            return False


def _is_refusal(response: Response) -> bool:
    """Tell whether a server error is the array's own word that it is too busy, or at a limit: nothing has been done then."""
    if response.status != _UNAVAILABLE:
        return False
    try:
        _code(response)
    except ProtocolError:
        return False
    return True


def _judged(response: Response, request: str, *, changes: bool) -> Any:
    """Return what a success holds, None where it has no body; raise the typed error for a refusal."""
    if response.status in _SUCCESSES:
        return _content(response, request, changes=changes)
    try:
        code = _code(response)
        text = str(response.json().get("desc", ""))
    except ProtocolError as error:
        error.request = request
        raise
    raise codes.error(code, text, status=response.status, request=request, changes=changes)


def _content(response: Response, request: str, *, changes: bool) -> Any:
    if not response.body.strip():
        return None
    try:
        return response.json()
    except ProtocolError as error:
        if changes:
            raise Ambiguous("The answer to a changing request cannot be read.", request=request) from error
        raise


def _code(response: Response) -> int:
    answer = response.json()
    if not isinstance(answer, dict) or not isinstance(answer.get("code"), int):
        raise ProtocolError(f"The answer (status {response.status}) has no code; is this the address of a Web Services API?")
    return int(answer["code"])


def _object(data: Any) -> Object:
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ProtocolError(f"The answer holds {type(data).__name__} where one object was expected.")
    return data


def _path(parts: tuple[str, ...]) -> str:
    """Join a path; the commas and colons of a VLUN's name stay as they are."""
    return "/".join(quote(part, safe=",:@") for part in parts)

"""The wire of OceanStor's DeviceManager REST interface: sessions, envelope, queries and error codes.

It knows nothing of volumes as the library sees them: objects are the array's own attribute dictionaries, all values text.
Source: protocol sheet, sections 1 to 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http.cookies import SimpleCookie
from typing import Any, Final

from blockdrivers.errors import Ambiguous, LoginRefused, ProtocolError
from blockdrivers.transport.http import HttpTransport, Login, Response, Send
from vendors.huawei import codes
from vendors.huawei.options import OceanStorOptions

Object = Mapping[str, Any]

PAGE: Final = 100
"""Objects per page: what the newest generation answers at most (sheet, section 1, query syntax)."""

_ACCOUNT_EXPIRED: Final = {3: "has expired", 4: "must be changed at first login"}


class OceanStorClient:
    """One array's REST interface; shared by threads."""

    def __init__(self, options: OceanStorOptions, name: str) -> None:
        self._transport = HttpTransport(
            options.addresses,
            tls=options.tls,
            authenticator=OceanStorLogin(options),
            max_connections=options.max_connections,
            name=name,
        )

    def close(self) -> None:
        """Log out of every controller and close the connections."""
        self._transport.close()

    def read(self, path: str, **params: str) -> Any:
        """Send a GET and return the answer's ``data``; None where a query has no hits."""
        return self._call("GET", path, None, params, changes=False)

    def post(self, path: str, body: Object, *, absolute: bool = False) -> Object:
        """Send a POST and return the object that the array made."""
        return _object(self._call("POST", path, body, {}, absolute=absolute))

    def put(self, path: str, body: Object) -> Object:
        """Send a PUT and return the changed object, where the array returns one."""
        return _object(self._call("PUT", path, body, {}))

    def delete(self, path: str, body: Object | None = None, **params: str) -> None:
        """Send a DELETE."""
        self._call("DELETE", path, body, params)

    def find(self, path: str, attribute: str, value: str) -> Object | None:
        """Return the one object whose attribute equals `value`, or None."""
        escaped = value.replace("\\", "\\\\").replace(":", "\\:")
        hits = self.read(path, filter=f"{attribute}::{escaped}") or []
        return next((hit for hit in _objects(hits) if hit.get(attribute) == value), None)

    def listing(self, path: str, **params: str) -> Iterator[Object]:
        """Yield every object of a listing, page by page; one that moves between pages is yielded once."""
        seen: set[str] = set()
        start = 0
        while True:
            page = _objects(self.read(path, **params, range=f"[{start}-{start + PAGE}]") or [])
            for item in page:
                if (identifier := str(item.get("ID"))) not in seen:
                    seen.add(identifier)
                    yield item
            if len(page) < PAGE:
                return
            start += PAGE

    def associated(self, path: str, kind: int, of_kind: int, of_id: str) -> list[Object]:
        """Return the objects of a kind that are linked to another object (sheet, section 1, association queries)."""
        return list(self.listing(f"{path}/associate", TYPE=str(kind), ASSOCIATEOBJTYPE=str(of_kind), ASSOCIATEOBJID=of_id))

    def count(self, path: str, **params: str) -> int:
        """Return how many objects a query would list."""
        return int(_object(self.read(f"{path}/count", **params)).get("COUNT", 0))

    def _call(
        self,
        method: str,
        path: str,
        body: Object | None,
        params: Mapping[str, str],
        *,
        changes: bool = True,
        absolute: bool = False,
    ) -> Any:
        response = self._transport.request(
            method, path, json=body, params=dict(params), changes=changes, absolute=absolute, operation=f"{method} {path}"
        )
        try:
            return _data(response, request=f"{method} {path}", changes=changes)
        except ProtocolError as error:
            if changes:
                raise Ambiguous("The answer to a changing request cannot be read.", request=f"{method} {path}") from error
            raise


class OceanStorLogin:
    """How a management session begins, ends and is seen to be over (sheet, section 1, login)."""

    def __init__(self, options: OceanStorOptions) -> None:
        self._options = options

    def login(self, send: Send) -> Login:
        """Log in at one controller; the session needs both its token and its cookie."""
        body = {
            "username": self._options.username,
            "password": self._options.password.get_secret_value(),
            "scope": "1" if self._options.scope == "ldap" else "0",
        }
        if self._options.vstore:
            body["vstorename"] = self._options.vstore
        response = send("POST", "xx/sessions", json=body)
        session = _object(_data(response, request="POST sessions", changes=False))
        try:
            token, device = str(session["iBaseToken"]), str(session["deviceid"])
        except KeyError as missing:
            raise ProtocolError(f"The login answer has no {missing}.", request="POST sessions") from missing
        login = Login(headers={"iBaseToken": token, "Cookie": _cookies(response)}, prefix=device)
        state = int(session.get("accountstate", 1))
        if state in _ACCOUNT_EXPIRED:
            self.logout(send, login)
            raise LoginRefused(
                f"The password of {self._options.username!r} {_ACCOUNT_EXPIRED[state]}; set a new one on the array."
            )
        return login

    def logout(self, send: Send, login: Login) -> None:
        """End a session."""
        send("DELETE", f"{login.prefix}/sessions", headers=login.headers)

    def expired(self, response: Response) -> bool:
        """Tell whether the array answered that the session is over, and did nothing else."""
        try:
            code = _envelope(response).get("error", {}).get("code")
        except (ProtocolError, AttributeError):
            return False
        return code in codes.SESSION_EXPIRED


def _envelope(response: Response) -> Mapping[str, Any]:
    answer = response.json()
    if not isinstance(answer, dict) or not isinstance(answer.get("error"), dict):
        raise ProtocolError("The answer has no error object; is this the address of a DeviceManager?")
    return answer


def _data(response: Response, *, request: str, changes: bool) -> Any:
    answer = _envelope(response)
    try:
        code = int(answer["error"]["code"])
    except (KeyError, TypeError, ValueError) as wrong:
        raise ProtocolError("The answer's error object has no code.", request=request) from wrong
    if code:
        raise codes.error(code, str(answer["error"].get("description", "")), request=request, changes=changes)
    return answer.get("data")


def _object(data: Any) -> Object:
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ProtocolError(f"The answer holds {type(data).__name__} where one object was expected.")
    return data


def _objects(data: Any) -> list[Object]:
    if not isinstance(data, list):
        raise ProtocolError(f"The answer holds {type(data).__name__} where a list was expected.")
    return [_object(item) for item in data]


def _cookies(response: Response) -> str:
    jar = SimpleCookie(response.headers.get("Set-Cookie", ""))
    return "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())

"""The wire of MacroSAN's devop interface: credentials, sub-operations, bare JSON answers and refusals.

It knows nothing of volumes as the library sees them. Source: protocol sheet, sections 1 and 4. Which status a refusal has is not
documented but for "anything but 200": besides the few statuses that HTTP itself gives a meaning, a refusal is a `VendorError`, and
whoever asked reads what it may mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from blockdrivers.errors import (
    Ambiguous,
    BlockDriversError,
    Busy,
    LoginRefused,
    NotFound,
    OutOfSpace,
    ProtocolError,
    VendorError,
)
from blockdrivers.transport.http import HttpTransport, Login, Response, Send
from blockdrivers.transport.session import NotSent
from vendors.macrosan.options import MacroSanOptions

Object = Mapping[str, Any]

_OK: Final = 200
_UNAUTHORISED: Final = 401
_SERVER_ERROR: Final = 500
_UNAVAILABLE: Final = 503
_SERVES: Final = frozenset({"single", "double"})
"""HA states of a service processor that serves management (sheet, section 2)."""

REFUSALS: Final = (VendorError, NotFound, OutOfSpace)
"""What a refusal may come as, whatever it means: see above."""

_CONFLICT: Final = "409"

_CLASSES: Final[Mapping[int, type[BlockDriversError]]] = {
    401: LoginRefused,
    403: LoginRefused,
    404: NotFound,
    429: Busy,
    503: Busy,
    507: OutOfSpace,
}


def again(refused: BlockDriversError, what: str) -> BlockDriversError:
    """Return what a refusal is whose cause cannot be found: a conflict, as HTTP calls it, may have ended before it was looked for."""
    if not isinstance(refused, VendorError) or refused.vendor_code != _CONFLICT:
        return refused
    said = f"{what} was refused for a conflict that has ended since."
    return refused.explained_as(Busy, said)


class DevopClient:
    """One array's devop interface; shared by threads."""

    def __init__(self, options: MacroSanOptions, name: str) -> None:
        self._transport = HttpTransport(
            options.addresses,
            tls=options.tls,
            authenticator=DevopLogin(options),
            max_connections=options.max_connections,
            name=name,
            answered=_is_refusal,
            keeps_logins=False,
        )

    def close(self) -> None:
        """Close the connections; there is no session to end."""
        self._transport.close()

    def get(self, resource: str, attribute: str = "", **params: str) -> Any:
        """Send a GET and return the answer's value."""
        query = {"attr": attribute, **params} if attribute else params
        response = self._transport.request("GET", resource, params=query, operation=_called("GET", resource, attribute))
        return _value(response, _called("GET", resource, attribute), changes=False)

    def flag(self, resource: str, attribute: str, **params: str) -> bool:
        """Send a GET that is answered with a truth value."""
        found = self.get(resource, attribute, **params)
        if not isinstance(found, bool):
            raise ProtocolError(f"The answer is {found!r}, not true or false.", request=_called("GET", resource, attribute))
        return found

    def number(self, resource: str, attribute: str, **params: str) -> int:
        """Send a GET that is answered with a whole number, or the text of one."""
        found = self.get(resource, attribute, **params)
        try:
            return int(found)
        except (TypeError, ValueError):
            raise ProtocolError(f"The answer is {found!r}, no number.", request=_called("GET", resource, attribute)) from None

    def records(self, resource: str, attribute: str = "", **params: str) -> list[Object]:
        """Send a GET that is answered with a list of objects."""
        found = self.get(resource, attribute, **params)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise ProtocolError(
                f"The answer is {type(found).__name__}, no list of objects.", request=_called("GET", resource, attribute)
            )
        return found

    def record(self, resource: str, attribute: str = "", **params: str) -> Object:
        """Send a GET that is answered with one object."""
        found = self.get(resource, attribute, **params)
        if not isinstance(found, dict):
            raise ProtocolError(f"The answer is {type(found).__name__}, no object.", request=_called("GET", resource, attribute))
        return found

    def post(self, resource: str, **body: object) -> Any:
        """Send a POST and return the answer's value."""
        return self._change("POST", resource, body)

    def put(self, resource: str, attribute: str, **body: object) -> Any:
        """Send a PUT of one sub-operation and return the answer's value."""
        return self._change("PUT", resource, {"attr": attribute, **body})

    def delete(self, resource: str, **body: object) -> Any:
        """Send a DELETE, which has a body here, and return the answer's value."""
        return self._change("DELETE", resource, body)

    def _change(self, method: str, resource: str, body: Object) -> Any:
        operation = _called(method, resource, str(body.get("attr", "")))
        response = self._transport.request(method, resource, json=dict(body), operation=operation)
        return _value(response, operation, changes=True)


class DevopLogin:
    """What stands for a login: every request carries the credentials, and the first asks who serves management."""

    def __init__(self, options: MacroSanOptions) -> None:
        self._addresses = [address.rstrip("/") for address in options.addresses]
        secret = f"{options.username}{options.password.get_secret_value()}"
        # Headers are sent as Latin-1; so its letters, whatever script they are of, go out as UTF-8.
        self._headers = {"Authorization": f"Bearer {secret.encode().decode('latin-1')}"}

    def login(self, send: Send) -> Login:
        """Ask a service processor for the HA states, and go on to the other where it does not serve management itself."""
        states = _value(send("GET", "ha_status", headers=self._headers), "GET ha_status", changes=False)
        if not isinstance(states, dict):
            raise ProtocolError("The HA status is no object; is this the address of a devop service?", request="GET ha_status")
        # Both may be configured with one address; then either will do.
        own = [f"sp{number}" for number, address in enumerate(self._addresses, 1) if address == send.address]
        if not any(states.get(sp) in _SERVES for sp in own):
            told = ", ".join(f"{sp.upper()} is {states.get(sp)!r}" for sp in own)
            raise NotSent(f"it does not serve management: {told}")
        return Login(headers=self._headers)

    def logout(self, send: Send, login: Login) -> None:
        """Do nothing: the array knows no sessions."""

    def expired(self, response: Response) -> bool:
        """Tell whether the credentials are no longer taken; asking with them again then says so."""
        return response.status == _UNAUTHORISED


def _called(method: str, resource: str, attribute: str) -> str:
    return f"{method} {resource}{'.' if attribute else ''}{attribute}"


def _is_refusal(response: Response) -> bool:
    """Tell whether a server error comes from the interface itself: only that answers in JSON."""
    try:
        return isinstance(response.json(), dict)
    except ProtocolError:
        return False


def _value(response: Response, request: str, *, changes: bool) -> Any:
    """Return what a success holds, or raise the typed error of a refusal."""
    if response.status == _OK:
        try:
            return response.json()
        except ProtocolError as error:
            error.request = request
            if changes:
                raise Ambiguous("The answer to a changing request cannot be read.", request=request) from error
            raise
    if response.status == _UNAUTHORISED:
        raise LoginRefused("The array refused user name or password.", request=request, vendor_code=response.status)
    kind = _CLASSES.get(response.status, VendorError)
    text = response.body[:200].decode(errors="replace")
    raise kind(f"The array refused {request}.", request=request, vendor_code=response.status, vendor_text=text)

"""The wire of the Configuration Manager REST API: sessions, jobs, lists and error objects.

It knows nothing of volumes as the library sees them: objects are the array's own. Source: protocol sheet, sections 1 and 4.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

from blockdrivers.deadline import note, wait_until
from blockdrivers.errors import Ambiguous, Busy, ConfigurationError, LoginRefused, NotFound, ProtocolError
from blockdrivers.transport.http import HttpTransport, Login, Response, Send
from vendors.hitachi import codes
from vendors.hitachi.options import VspOptions

Object = Mapping[str, Any]

PAGE: Final = 1000
"""LDEVs per page of a listing; embedded servers refuse much larger ones (sheet, trap 2)."""

_HELD_SECONDS: Final = 20
"""How long the server may hold the answer to a job; afterwards it is asked."""

_IDENTITY: Final = ("createdTime", "request")
"""What a job keeps from its beginning."""

_OK, _ACCEPTED, _UNAUTHORISED, _NOT_FOUND = 200, 202, 401, 404
_ERRORS = 400


class VspClient:
    """One array's REST interface; shared by threads."""

    def __init__(self, options: VspOptions, name: str) -> None:
        self._transport = HttpTransport(
            options.addresses,
            tls=options.tls,
            authenticator=VspLogin(options),
            max_connections=options.max_connections,
            name=name,
            answered=_is_refusal,
        )

    def close(self) -> None:
        """Log out of every server and close the connections."""
        self._transport.close()

    def read(self, path: str, **params: object) -> Object:
        """Return one object; `NotFound` where it is not there. The empty path is the storage system itself."""
        found = self._answer("GET", path, None, params)
        if not isinstance(found, dict):
            raise ProtocolError(f"The answer holds {type(found).__name__} where one object was expected.")
        return found

    def items(self, path: str, **params: object) -> list[Object]:
        """Return the objects of a list."""
        found = self.read(path, **params).get("data")
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise ProtocolError(f"The answer to GET {path} has no list of objects.")
        return found

    def ldevs(self, **params: object) -> Iterator[Object]:
        """Yield every LDEV that a filtered listing holds, page by page."""
        head = 0
        while True:
            page = self.items("ldevs", headLdevId=head, count=PAGE, **params)
            yield from page
            if len(page) < PAGE:
                return
            head = int(page[-1]["ldevId"]) + 1

    def create(self, path: str, body: Object) -> str:
        """Make an object and return its id: the last part of the first affected resource."""
        affected = self._job("POST", path, body)
        if not affected:
            raise Ambiguous("The job does not say what it has made.", request=f"POST {path}")
        return affected[0].rpartition("/")[2]

    def change(self, path: str, body: Object) -> None:
        """Change attributes of an object."""
        self._job("PATCH", path, body)

    def act(self, path: str, action: str, parameters: Object | None = None) -> None:
        """Invoke an action on an object."""
        self._job("POST", f"{path}/actions/{action}/invoke", None if parameters is None else {"parameters": parameters})

    def delete(self, path: str, body: Object | None = None) -> None:
        """Delete an object; `NotFound` where it is not there."""
        self._job("DELETE", path, body)

    def _job(self, method: str, path: str, body: Object | None) -> list[str]:
        request = _name(method, path)
        try:
            job = self._answer(method, path, body, {})
            if not isinstance(job, dict) or "jobId" not in job:
                raise ProtocolError("The answer to a changing request is no job.")
            finished = job if _is_complete(job) else self._awaited(job, request)
        except ProtocolError as unreadable:
            raise Ambiguous("The answer to a changing request cannot be read.", request=request) from unreadable
        return _affected(finished, request)

    def _awaited(self, begun: Object, request: str) -> Object:
        job_id = begun["jobId"]
        note(f"job {job_id} of the array is under way")

        def ended() -> Object | None:
            job = self.read(f"jobs/{job_id}")
            if any(job.get(key) != begun.get(key) for key in _IDENTITY):
                # Each server counts its own jobs: after a failover another one bears the id.
                raise Ambiguous(f"The array's job {job_id} is another one.", request=request)
            return job if _is_complete(job) else None

        try:
            return wait_until(ended, what=f"job {job_id} of the array to end", first=0.2)
        except NotFound as unknown:
            # Each controller's server knows its own jobs only: after a failover nobody tells how this one ended.
            raise Ambiguous(f"The array does not know its job {job_id} any more.", request=request) from unknown

    def _answer(self, method: str, path: str, body: Object | None, params: Mapping[str, object]) -> Any:
        request = _name(method, path)
        response = self._transport.request(
            method, path, json=body, params={key: str(value) for key, value in params.items()}, operation=request
        )
        if not response.body.strip() and response.status == _OK and method == "GET":
            raise Busy("The REST server answered with nothing; it may be starting.", request=request)
        if response.status >= _ERRORS:
            content = _content(response)
            raise codes.error(content if codes.is_error(content) else {}, request=request, status=response.status)
        if response.status not in {_OK, _ACCEPTED}:
            raise ProtocolError(f"The answer has HTTP status {response.status}.", request=request)
        return response.json()


class VspLogin:
    """How a management session begins, ends and is seen to be over (sheet, section 1.3)."""

    def __init__(self, options: VspOptions) -> None:
        self._options = options
        self._ids: dict[str, tuple[str, str]] = {}
        """Address of a server -> token and id of the session there."""

    def login(self, send: Send) -> Login:
        """Open a session at one server; its headers also ask for jobs to be waited for."""
        secret = f"{self._options.username}:{self._options.password.get_secret_value()}".encode()
        basic = {"Authorization": f"Basic {base64.b64encode(secret).decode()}"}
        response = send("POST", f"{self._prefix}/sessions", json={"aliveTime": self._options.session_seconds}, headers=basic)
        if response.status == _UNAUTHORISED:
            raise LoginRefused(
                f"The array refuses user {self._options.username!r} or the password; check both.", request="POST sessions"
            )
        if response.status == _NOT_FOUND:
            raise ConfigurationError(
                f"The server knows no storage system {self._options.storage_id}; correct the option storage_id.",
                request="POST sessions",
            )
        if response.status != _OK:
            content = _content(response)
            if response.status >= 500 and not codes.is_error(content):  # noqa: PLR2004 - HTTP's server errors
                raise Busy(f"The login met HTTP status {response.status}.", request="POST sessions")
            raise codes.error(content if codes.is_error(content) else {}, request="POST sessions", status=response.status)
        session = response.json()
        try:
            token, session_id = str(session["token"]), str(session["sessionId"])
        except (KeyError, TypeError) as missing:
            raise ProtocolError("The login answer has no token or session id.", request="POST sessions") from missing
        self._ids[send.address] = (token, session_id)
        headers = {
            "Authorization": f"Session {token}",
            "Response-Max-Wait": str(_HELD_SECONDS),
            "Response-Job-Status": "Completed;",
        }
        return Login(headers=headers, prefix=self._prefix)

    def logout(self, send: Send, login: Login) -> None:
        """End a session."""
        token, session_id = self._ids.pop(send.address, ("", ""))
        if login.headers["Authorization"] == f"Session {token}":
            send("DELETE", f"{self._prefix}/sessions/{session_id}", headers=login.headers)

    def expired(self, response: Response) -> bool:
        """Tell whether the array refused the request for its session alone."""
        return response.status == _UNAUTHORISED

    @property
    def _prefix(self) -> str:
        return f"v1/objects/storages/{self._options.storage_id}"


def _name(method: str, path: str) -> str:
    return f"{method} {path or 'storage system'}"


def _content(response: Response) -> Any:
    try:
        return response.json()
    except ProtocolError:
        return None


def _is_refusal(response: Response) -> bool:
    return codes.is_refusal(_content(response))


def _is_complete(job: Object) -> bool:
    return job.get("status") == "Completed"


def _affected(job: Object, request: str) -> list[str]:
    """Return the resources of a job that succeeded, or raise what the array says of one that did not."""
    if job.get("state") == "Failed":
        raise codes.error(job.get("error") or {}, request=request)
    if job.get("state") != "Succeeded":
        raise Ambiguous(f"The array's job ended as {job.get('state')!r}; its outcome is open.", request=request)
    return [str(resource) for resource in job.get("affectedResources") or ()]

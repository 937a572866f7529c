"""The wire of ONTAP's REST API: credentials, envelope, records, pages, jobs and error codes.

It knows nothing of volumes as the library sees them: records are the array's own dictionaries.
Source: protocol sheet, sections 1, 2 and 4.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from blockdrivers.deadline import note, wait_until
from blockdrivers.errors import Ambiguous, LoginRefused, NotFound, NotSupported, ProtocolError
from blockdrivers.transport.http import HttpTransport, Login, Response, Send
from vendors.netapp import codes
from vendors.netapp.options import OntapOptions

Record = Mapping[str, Any]

PAGE: Final = 1000
"""Records per page."""
FIRST_RELEASE: Final = (9, 11, 1)
"""The first release whose REST API can do all that the driver needs (sheet, section 1)."""

_UNAUTHORISED, _FORBIDDEN = 401, 403
_ACCEPTED = 202
_INTERNAL_ERROR = 500


class OntapClient:
    """One array's REST API; shared by threads."""

    def __init__(self, options: OntapOptions, name: str) -> None:
        self.svm = options.svm
        self._credentials = OntapCredentials(options)
        self._transport = HttpTransport(
            [f"{address.rstrip('/')}/api" for address in options.addresses],
            tls=options.tls,
            authenticator=self._credentials,
            answered=_is_its_own_word,
            max_connections=options.max_connections,
            name=name,
        )

    def close(self) -> None:
        """Close the connections; there is no session to end."""
        self._transport.close()

    def get(self, path: str, **query: str) -> Record:
        """Return one object."""
        return self._call("GET", path, None, query)

    def listing(self, path: str, **query: str) -> Iterator[Record]:
        """Yield the records that a query matches, page by page."""
        query |= {"max_records": str(PAGE)}
        while True:
            answer = self._call("GET", path, None, query)
            yield from records(answer)
            following = _next_page(answer)
            if following is None:
                return
            query = following

    def own(self, path: str, **query: str) -> Iterator[Record]:
        """Yield the records of this backend's SVM."""
        return self.listing(path, **{"svm.name": self.svm}, **query)

    def make(self, path: str, body: Record, **query: str) -> Record:
        """Make an object of this backend's SVM and return its record; empty where the array answers with none."""
        body = {"svm": {"name": self.svm}, **body}
        found = records(self.change("POST", path, body, return_records="true", **query))
        return found[0] if found else {}

    def change(self, method: str, path: str, body: Record | None = None, **query: str) -> Record:
        """Send a request that changes the array, and return the answer once its job, where it is one, has ended well."""
        return self._call(method, path, body, query)

    def upload(self, path: str, media_type: str, content: bytes, **query: str) -> None:
        """POST something else than JSON."""
        self._call("POST", path, None, query, upload=(media_type, content))

    def change_own(self, method: str, path: str, body: Record | None = None, **query: str) -> int:
        """Change whatever records of this SVM a query matches; return how many."""
        return int(self.change(method, path, body, **{"svm.name": self.svm}, **query).get("num_records", 0))

    def permitted(self, path: str, **query: str) -> list[Record]:
        """Return the records of a query, or none where the account may not ask it: an SVM's own account may not."""
        try:
            return list(self.listing(path, **query))
        except NotSupported:
            return []

    def _call(
        self,
        method: str,
        path: str,
        body: Record | None,
        query: Mapping[str, str],
        upload: tuple[str, bytes] | None = None,
    ) -> Record:
        request = f"{method} {path}"
        response = self._transport.request(method, path, json=body, body=upload, params=dict(query), operation=request)
        changes = method != "GET"
        try:
            answer = _content(response, request=request)
            if response.status != _ACCEPTED or "job" not in answer:
                return answer
            job = str(answer["job"]["uuid"])
        except (ProtocolError, KeyError, TypeError) as error:
            if changes:
                raise Ambiguous("The answer to a changing request cannot be read.", request=request) from error
            raise
        note(f"job {job} of {request} is under way")
        self._await(job, request)
        return answer

    def _await(self, job: str, request: str) -> None:
        """Wait for a job to end; one whose record the array has erased leaves the outcome open."""

        def ended() -> bool | None:
            try:
                found = self._call("GET", f"cluster/jobs/{job}", None, {"fields": "state,message,code,error"})
            except NotFound as erased:
                raise Ambiguous(f"Job {job} is not known any more; its outcome is open.", request=request) from erased
            if found.get("state") == "failure":
                failed = found.get("error") or {"code": found.get("code", 0), "message": found.get("message", "")}
                raise _refused(failed, request=request)
            return True if found.get("state") == "success" else None

        wait_until(ended, what=f"job {job} of {request}")


class OntapCredentials:
    """Basic credentials on every request; the first one that an address gets only proves them (sheet, section 1)."""

    def __init__(self, options: OntapOptions) -> None:
        plain = f"{options.username}:{options.password.get_secret_value()}"
        self._headers = {"Authorization": f"Basic {b64encode(plain.encode()).decode()}", "Accept": "application/hal+json"}

    def login(self, send: Send) -> Login:
        """Ask for the release with the credentials: a refusal is met once, and an array that is too old is told apart."""
        request = "GET cluster"
        response = send("GET", "cluster?fields=version", headers=self._headers)
        if response.status == _UNAUTHORISED:
            raise LoginRefused("The array refused the login; check user name and password.", request=request)
        version = _content(response, request=request).get("version") or {}
        try:
            release = tuple(int(version[part]) for part in ("generation", "major", "minor"))
        except (KeyError, TypeError, ValueError) as missing:
            raise ProtocolError("The answer names no ONTAP release.", request=request) from missing
        if release < FIRST_RELEASE:
            told, needed = (".".join(map(str, numbers)) for numbers in (release, FIRST_RELEASE))
            raise NotSupported(f"The array runs ONTAP {told}; {needed} or newer is needed.", request=request)
        return Login(self._headers)

    def logout(self, send: Send, login: Login) -> None:
        """Nothing was begun."""

    def expired(self, response: Response) -> bool:
        """Tell whether the array does not accept the credentials any more."""
        return response.status == _UNAUTHORISED


def records(answer: Record) -> list[Record]:
    """Return the records of an answer."""
    found = answer.get("records", [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ProtocolError("The answer's records are no list of objects.")
    return found


def _content(response: Response, *, request: str) -> Record:
    answer = response.json() if response.body.strip() else {}
    if not isinstance(answer, dict):
        raise ProtocolError("The answer is no JSON object; is this the address of an ONTAP cluster or SVM?", request=request)
    if "error" in answer:
        if response.status == _FORBIDDEN:
            raise codes.permission(*_told(answer["error"]), request=request)
        raise _refused(answer["error"], request=request)
    return answer


def _refused(said: Any, *, request: str) -> Exception:
    code, message = _told(said)
    if code == codes.NOT_PERMITTED:
        return codes.permission(code, message, request=request)
    return codes.error(code, message, request=request)


def _told(said: Any) -> tuple[str, str]:
    if not isinstance(said, dict):
        raise ProtocolError("The answer's error is no object.")
    return str(said.get("code", "")), str(said.get("message", ""))


def _is_its_own_word(response: Response) -> bool:
    """Tell whether an internal error is the API's own refusal, which it may be: then nothing is open."""
    if response.status != _INTERNAL_ERROR:
        return False
    try:
        said = response.json()["error"]
        return str(said["code"]).isdecimal()
    except (ProtocolError, KeyError, TypeError):
        return False


def _next_page(answer: Record) -> dict[str, str] | None:
    """Return the query of the next page, whose address the array gives with all of it."""
    following = ((answer.get("_links") or {}).get("next") or {}).get("href")
    return dict(parse_qsl(urlsplit(following).query, keep_blank_values=True)) if following else None

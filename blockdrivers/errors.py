"""The exception tree: every error tells a caller what it may do next.

Reading order for a caller that decides by class:

* *Wrong request, nothing changed:* `InvalidRequest`, `NotSupported`, `ConfigurationError`.
* *The array's state says no:* `NotFound`, `AlreadyExists`, `InUse`, `OutOfSpace`, `LimitReached`, `LicenceMissing`.
* *The way to the array is at fault:* `Unreachable`, `CertificateError`, `HostKeyError`, `LoginRefused`, `AuthExpired`,
  `ProtocolError`.
* *Ask again:* `Busy`, `DeadlineExceeded`, `Ambiguous`; every operation of `Backend` is idempotent, so asking again is safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeVar

ErrorT = TypeVar("ErrorT", bound="BlockDriversError")


class BlockDriversError(Exception):
    """Root of everything this library raises on purpose.

    Attributes:
        message: one sentence: what was wrong, with what value, and what to do.
        array: name of the backend or address of the array, where known.
        request: the management request that met the error, such as ``POST /lun``; never a body, never a secret.
        vendor_code: the array's own code, as text.
        vendor_text: the array's own words.
    """

    retryable: ClassVar[bool] = False
    """Whether the same call may succeed later without anybody mending anything."""

    exit_code: ClassVar[int] = 1
    """Exit status of the command line for this error; scripts may rely on it."""

    def __init__(
        self,
        message: str,
        *,
        array: str | None = None,
        request: str | None = None,
        vendor_code: str | int | None = None,
        vendor_text: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.array = array
        self.request = request
        self.vendor_code = None if vendor_code is None else str(vendor_code)
        self.vendor_text = vendor_text

    def __str__(self) -> str:
        details = [
            f"{label} {value}"
            for label, value in (
                ("array", self.array),
                ("request", self.request),
                ("code", self.vendor_code),
                ("says", self.vendor_text and repr(self.vendor_text)),
            )
            if value
        ]
        return f"{self.message} ({', '.join(details)})" if details else self.message

    def explained_as(self, kind: type[ErrorT], message: str) -> ErrorT:
        """Return what this refusal is once its cause is known: another error, with the same array, request, code and words."""
        return kind(message, array=self.array, request=self.request, vendor_code=self.vendor_code, vendor_text=self.vendor_text)

    def as_dict(self) -> dict[str, str | bool | None]:
        """Return the error as plain data, for logs, reports and ``--json``."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "array": self.array,
            "request": self.request,
            "vendor_code": self.vendor_code,
            "vendor_text": self.vendor_text,
            "retryable": self.retryable,
        }


class ConfigurationError(BlockDriversError):
    """The configuration is wrong; nothing was sent to any array."""

    exit_code = 3


class MatrixError(ConfigurationError):
    """The compatibility matrix is wrong: the message names file, line and field."""


class InvalidRequest(BlockDriversError):
    """An argument is wrong (size, name, pool, protocol, ...); nothing was changed on the array."""

    exit_code = 4


class NotSupported(BlockDriversError):
    """This array or adapter does not do that; its `Capabilities` say so beforehand."""

    exit_code = 5


class NotFound(BlockDriversError):
    """The object asked for is not on the array."""

    exit_code = 6


class AlreadyExists(BlockDriversError):
    """The name is taken by an object that differs from the one asked for.

    Attributes:
        differences: ``{field: (asked for, found)}``; empty where the driver cannot tell (`Backend` then reads and compares).
    """

    exit_code = 7

    def __init__(
        self,
        message: str,
        *,
        differences: Mapping[str, tuple[object, object]] | None = None,
        array: str | None = None,
        request: str | None = None,
        vendor_code: str | int | None = None,
        vendor_text: str | None = None,
    ) -> None:
        super().__init__(message, array=array, request=request, vendor_code=vendor_code, vendor_text=vendor_text)
        self.differences = dict(differences or {})


class InUse(BlockDriversError):
    """The object has dependants (snapshots, exports, copies); the message names them. Nothing was changed."""

    exit_code = 8


class OutOfSpace(BlockDriversError):
    """The pool cannot hold what was asked for."""

    exit_code = 9


class LimitReached(BlockDriversError):
    """A limit of the array was reached: objects, sessions, LUN ids."""

    exit_code = 9


class LicenceMissing(NotSupported):
    """The array could do it, but its licence for the feature is absent or has run out."""


class StaleReference(BlockDriversError):
    """A remembered array-side id turned out to name another object; whatever the request did was undone.

    Raised by drivers, absorbed by `Backend`, which looks the object up by name and asks again.
    """


class Busy(BlockDriversError):
    """The array asks to come back later."""

    retryable = True
    exit_code = 10


class DeadlineExceeded(BlockDriversError):
    """The call's time is up; the message tells what is known of the object's state. Asking again continues."""

    retryable = True
    exit_code = 11


class TransportError(BlockDriversError):
    """The way to the array is at fault, not the request."""

    exit_code = 12


class Unreachable(TransportError):
    """No management address answered; the request was not carried out."""

    retryable = True


class Ambiguous(TransportError):
    """The connection died after the request may have been carried out.

    Raised by transports and drivers; `Backend` reads back and adopts or repeats, so callers of `Backend` see it only
    when the array stayed out of reach until the deadline.
    """

    retryable = True


class CertificateError(TransportError):
    """The array's TLS certificate could not be verified; nothing was sent."""


class HostKeyError(TransportError):
    """The array's SSH host key is not the expected one; nothing was sent."""


class ProtocolError(TransportError):
    """The answer is not what the protocol allows (garbage, a missing field)."""


class LoginRefused(TransportError):
    """The array refused the credentials or the account; not tried again, so that nobody is locked out."""

    exit_code = 13


class AuthExpired(TransportError):
    """The management session is over. Transports log in again once and repeat; callers see it when that did not help."""

    retryable = True


class AttachError(BlockDriversError):
    """This host cannot use the volume as it is exported, or cannot prove that a device is that volume; none is handed out."""

    exit_code = 15


class VendorError(BlockDriversError):
    """The array refused with a code that its adapter does not know; the code and its words ride along."""

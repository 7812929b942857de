"""Exceptions: one class for each exit code of the command.

Every one of them is a `ModelManagerError` and tells its `kind` (the word that ``--json`` prints), its `exit_code` (what the
command would end with), and, where something can be done, a `hint` with the next step.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

__all__ = [
    "AuthError",
    "CancelledError",
    "DamagedError",
    "LockedError",
    "ModelManagerError",
    "NetworkError",
    "NoSpaceError",
    "NotFoundError",
    "UsageError",
]


class ModelManagerError(Exception):
    """Something failed. `str()` of it is what happened; `hint` is what to do next."""

    kind: ClassVar[str] = "failed"
    """The word for this class in JSON output."""
    exit_code: ClassVar[int] = 1
    """What the command ends with."""

    hint: str | None
    """The next step, as a sentence, or `None`."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        Exception.__init__(self, message)
        self.message = message
        self.hint = hint
        self._hint_kinds: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[type[ModelManagerError], tuple[str, str | None]]:
        return type(self), (self.message, self.hint)


class UsageError(ModelManagerError):
    """A wrong argument, setting or registry file."""

    kind = "usage"
    exit_code = 2


class NotFoundError(ModelManagerError):
    """Not in the registry, not present here, or not on the Hub."""

    kind = "not_found"
    exit_code = 3


class DamagedError(ModelManagerError):
    """Content does not match its hash."""

    kind = "damaged"
    exit_code = 4


class AuthError(ModelManagerError):
    """A token is needed, or access was not granted."""

    kind = "auth"
    exit_code = 5


class NetworkError(ModelManagerError):
    """The network failed, or is not allowed (offline)."""

    kind = "network"
    exit_code = 6


class NoSpaceError(ModelManagerError):
    """The disk is full, or would be."""

    kind = "no_space"
    exit_code = 7


class LockedError(ModelManagerError):
    """Another process held a lock for longer than `lock_timeout`."""

    kind = "locked"
    exit_code = 8


class CancelledError(ModelManagerError):
    """A `CancelToken` stopped the work. What arrived is kept, and the next download resumes from there."""

    kind = "interrupted"
    exit_code = 130


_CLASSES: dict[str, type[ModelManagerError]] = {
    one.kind: one
    for one in (
        UsageError,
        NotFoundError,
        DamagedError,
        AuthError,
        NetworkError,
        NoSpaceError,
        LockedError,
        CancelledError,
    )
}


def from_kind(kind: str, message: str, hint: str | None, hint_kinds: list[str]) -> ModelManagerError:
    """The exception for an error of the core, which calls this. The kinds of its hints tell its cause."""
    error = _CLASSES.get(kind, ModelManagerError)(message, hint)
    error._hint_kinds = tuple(hint_kinds)
    return error

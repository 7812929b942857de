"""What a `progress=` function is called with while work runs.

It is called in the thread that called `download`, never in another one. What it raises stops the work and comes out of
`download`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

from ._log import log

__all__ = [
    "Borrowed",
    "Event",
    "FileFailed",
    "FileFinished",
    "FileStarted",
    "Hashing",
    "Notice",
    "Planned",
    "Progress",
    "Retry",
    "Waiting",
    "Warning",
]


@dataclass(frozen=True)
class Planned:
    """The work is known."""

    files: int
    """Files that will be fetched."""
    bytes: int
    """Bytes that will be fetched."""


@dataclass(frozen=True)
class FileStarted:
    """A file's transfer begins."""

    file: str
    size: int
    resumed: int
    """Bytes of an earlier run, which are not fetched again."""


@dataclass(frozen=True)
class Progress:
    """Some bytes of a file arrived."""

    file: str
    done: int
    """Bytes held so far, those of earlier runs included."""
    size: int
    rate: int
    """Bytes per second over the last seconds."""
    eta: float | None
    """Seconds left at that rate."""


@dataclass(frozen=True)
class Hashing:
    """Bytes that are here already are being hashed."""

    file: str
    done: int
    size: int


@dataclass(frozen=True)
class Borrowed:
    """Bytes of a file that is complete were copied from other files of the store, and did not travel."""

    file: str
    bytes: int
    from_blobs: list[str]
    """The SHA-256 of each blob that had them."""


@dataclass(frozen=True)
class FileFinished:
    """A file is complete and in the store. What its source published of it, if anything, was compared."""

    file: str
    size: int
    fetched: int
    """Bytes that came over the network in this run."""
    borrowed: int
    """Bytes that were copied from other files of the store in this run."""
    took: float
    """Seconds."""
    published: bool
    """Whether its source published a hash, so that it is verified."""


@dataclass(frozen=True)
class FileFailed:
    """A file's transfer ended without a result; what arrived is kept."""

    file: str


@dataclass(frozen=True)
class Retry:
    """A request failed and is tried again."""

    what: str
    why: str
    after: float
    """Seconds until the next try."""


@dataclass(frozen=True)
class Waiting:
    """Somebody else holds a lock."""

    what: str
    holder: str
    since: float
    """Seconds it has lasted."""


@dataclass(frozen=True)
class Notice:
    """Something worth one line, not a fault. Without a `progress=` function it goes to the log."""

    kind: str
    """What it is about: a word that stays the same."""
    message: str


@dataclass(frozen=True)
class Warning:
    """Something that may need attention. Without a `progress=` function it goes to the log."""

    message: str


Event = Union[
    Planned,
    FileStarted,
    Progress,
    Hashing,
    Borrowed,
    FileFinished,
    FileFailed,
    Retry,
    Waiting,
    Notice,
    Warning,
]

_CLASSES: dict[str, Any] = {
    "planned": Planned,
    "file_started": FileStarted,
    "progress": Progress,
    "hashing": Hashing,
    "borrowed": Borrowed,
    "file_finished": FileFinished,
    "file_failed": FileFailed,
    "retry": Retry,
    "waiting": Waiting,
    "notice": Notice,
    "warning": Warning,
}


def from_kind(kind: str, fields: dict[str, Any]) -> Event:
    """The event for a word and values of the core."""
    event: Event = _CLASSES[kind](**fields)
    return event


def to_log(event: Event) -> None:
    """Tells the log what is worth a line, for callers without a `progress=` function."""
    if isinstance(event, Planned):
        if event.files:
            log("info", "%d file(s), %d bytes to fetch", event.files, event.bytes)
    elif isinstance(event, FileStarted):
        log("info", "fetching %s (%d bytes%s)", event.file, event.size, f", {event.resumed} of them are here" if event.resumed else "")
    elif isinstance(event, Warning):
        log("warning", "%s", event.message)
    elif isinstance(event, Notice):
        log("info", "%s", event.message)
    elif isinstance(event, Retry):
        log("info", "%s: %s; next try in %.0f s", event.what, event.why, event.after)
    elif isinstance(event, Waiting):
        log("warning", "waiting for %s, held by %s", event.what, event.holder)
    elif isinstance(event, FileFinished):
        borrowed = f", {event.borrowed} from other files of the store" if event.borrowed else ""
        log("info", "%s: %d bytes fetched%s", event.file, event.fetched, borrowed)

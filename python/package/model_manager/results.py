"""What the methods of `Manager` return. Sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

__all__ = [
    "Blob",
    "Download",
    "File",
    "Form",
    "Listed",
    "ModelInfo",
    "Plan",
    "Removal",
    "SharedBlob",
    "Verified",
    "View",
]

T = TypeVar("T")


@dataclass(frozen=True)
class View:
    """What is shown as ``models/<model>/<format>/<quant>``."""

    model: str
    format: str
    quant: str | None


@dataclass(frozen=True)
class File:
    """One file of a planned or finished download."""

    file: str
    """Its path below the view's folder."""
    size: int | None
    sha256: str | None
    state: Literal["present", "adopt", "partial", "fetch"]
    """Where its bytes are or come from."""
    fetched: int
    """Bytes that travelled, or, in a plan, that would."""


@dataclass(frozen=True)
class Plan:
    """What a download would do."""

    model: str
    format: str
    quant: str | None
    path: Path
    """The path it would return."""
    repo: str
    revision: str
    license: str | None
    gated: bool
    files: tuple[File, ...]
    size: int
    fetch: int
    """Bytes that would travel."""
    free: int | None
    """Bytes free on the store's volume, where that can be told."""
    api_requests: int
    notices: tuple[str, ...]
    """What was chosen and why."""


@dataclass(frozen=True)
class Download:
    """What a download did."""

    model: str
    format: str
    quant: str | None
    path: Path
    """What to give to a backend: the file of a GGUF (part 1 of a split one), the folder of a set."""
    files: tuple[File, ...]
    size: int
    fetched: int
    """Bytes that travelled."""
    link: str | None
    """How the tree shows the files: symlink, hardlink, reflink or copy."""
    notices: tuple[str, ...]
    """What was chosen and why."""

    def __fspath__(self) -> str:
        """Its path, so that it can be given to `open` and friends."""
        return str(self.path)


@dataclass(frozen=True)
class Listed:
    """A model in the models directory."""

    model: str
    format: str
    quant: str | None
    path: Path
    files: tuple[str, ...]
    size: int
    state: Literal["stored", "foreign", "broken"]
    """Whether its files lead into the store, are plain files, or lead nowhere."""


@dataclass(frozen=True)
class Verified:
    """A file that was checked."""

    model: str
    format: str
    quant: str | None
    path: Path
    size: int
    state: Literal["ok", "unverified", "modified", "missing", "foreign"]
    """``unverified`` has not changed since it came, but no published hash vouches for it."""
    sha256: str | None
    damaged: tuple[tuple[int, int], ...]
    """Damaged byte ranges ``[start, end)``, where the records tell."""
    note: str | None

    @property
    def is_good(self) -> bool:
        """Whether nothing speaks against the file: it is ``ok`` or ``unverified``."""
        return self.state in ("ok", "unverified")


@dataclass(frozen=True)
class Blob:
    """A blob of the store."""

    sha256: str
    size: int


@dataclass(frozen=True)
class SharedBlob:
    """A blob that stays because somebody uses it."""

    sha256: str
    size: int
    users: tuple[str, ...]


@dataclass(frozen=True)
class Removal:
    """What a removal did, or would do."""

    views: tuple[View, ...]
    removed: tuple[Path, ...]
    kept: tuple[tuple[Path, str], ...]
    """Files that stay because they are not ours, and why."""
    blobs: tuple[Blob, ...]
    freed: int
    shared: tuple[SharedBlob, ...]
    dry_run: bool


@dataclass(frozen=True)
class Form:
    """One quantization of a model, or the one form of a format without any."""

    format: str
    quant: str | None
    repo: str
    revision: str | None
    files: tuple[str, ...]
    """Empty for a complete set."""
    size: int | None
    pinned: bool
    """Whether revision, sizes and hashes are all known."""
    verified: bool
    """Whether its hashes are known."""
    present: bool
    status: Literal["active", "superseded", "deprecated"]
    superseded_by: str | None
    gated: bool
    license: str | None
    note: str | None


@dataclass(frozen=True)
class ModelInfo:
    """A model of the registry."""

    model: str
    description: str | None
    size_class: str | None
    params: str | None
    ram: str | None
    use_case: str | None
    repo: str | None
    license: str | None
    forms: tuple[Form, ...]



_PARTS: dict[tuple[type[Any], str], Any] = {
    (Plan, "files"): lambda value: tuple(make(File, one) for one in value),
    (Download, "files"): lambda value: tuple(make(File, one) for one in value),
    (Verified, "damaged"): lambda value: tuple((start, end) for start, end in value),
    (Removal, "views"): lambda value: tuple(make(View, one) for one in value),
    (Removal, "removed"): lambda value: tuple(Path(one) for one in value),
    (Removal, "kept"): lambda value: tuple((Path(path), why) for path, why in value),
    (Removal, "blobs"): lambda value: tuple(make(Blob, one) for one in value),
    (Removal, "shared"): lambda value: tuple(make(SharedBlob, one) for one in value),
    (ModelInfo, "forms"): lambda value: tuple(make(Form, one) for one in value),
}


def make(cls: type[T], report: dict[str, Any]) -> T:
    """A result from a report of the core. Keys that a newer core adds are left out; ones it leaves out are `None`."""
    values: dict[str, Any] = {}
    for field in fields(cls):  # type: ignore[arg-type]
        value = report.get(field.name)
        part = _PARTS.get((cls, field.name))
        if part is not None:
            value = part(value)
        elif field.name == "path":
            value = Path(value or "")
        elif isinstance(value, list):
            value = tuple(value)
        values[field.name] = value
    return cls(**values)

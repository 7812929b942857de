"""What the methods of `Manager` for a project return; `model_manager.results` has them too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .results import Download, Kept, Notice, Origin, Place, Plan, Removal, Repaired, RepoFile


@dataclass(frozen=True)
class FileChange:
    """A file that is another than before."""

    file: str
    """Its path below the view's folder."""
    change: Literal["added", "changed", "removed"]
    size: int | None
    old_size: int | None


@dataclass(frozen=True)
class Locked:
    """What became of a view in the lock file."""

    model: str
    format: str
    quant: str | None
    state: Literal["added", "kept", "pinned", "moved", "changed", "removed", "unknown"]
    """``pinned`` was to be updated and is pinned to a commit; ``unknown`` is used here and cannot be locked, because nobody
    knows where it came from."""
    origin: Origin | None
    """Where it comes from, as it is locked now; `None` where it is not."""
    old_origin: Origin | None
    """Where it came from, as it was locked before; `None` where it was not."""
    total_bytes: int
    download_bytes: int | None
    """Bytes that the update will download; `None` where nothing was updated."""
    borrow_bytes: int | None
    """Of these, bytes that may be taken from similar files in the store."""
    unpublished: int
    """Number of files whose sources published no hash: what is locked of them is what came first."""
    files: tuple[FileChange, ...]
    """The files that are others than before."""
    note: str | None


@dataclass(frozen=True)
class Lock:
    """What was locked, or would be."""

    lock_file: Path
    models: tuple[Locked, ...]
    """Every view that was looked at."""
    written: bool
    """Whether the lock file was written."""
    dry_run: bool

    @property
    def is_complete(self) -> bool:
        """Whether no view is ``unknown``."""
        return all(model.state != "unknown" for model in self.models)


@dataclass(frozen=True)
class LockProblem:
    """A view that is not locked as it is used or as the registry has it."""

    model: str
    format: str
    quant: str | None
    kind: str
    """`contradicts` (it cannot be right, by what is here), `disagrees` (with the registry), `not_locked` or `not_shown`."""
    message: str


@dataclass(frozen=True)
class LockCheckTotals:
    """What was checked."""

    models: int
    """Number of locked views."""


@dataclass(frozen=True)
class LockCheck:
    """Whether a lock file holds what it should."""

    lock_file: Path
    problems: tuple[LockProblem, ...]
    totals: LockCheckTotals

    @property
    def is_good(self) -> bool:
        """Whether it holds what is used here and agrees with the registry."""
        return not self.problems


@dataclass(frozen=True)
class SyncTotals:
    """What a sync comes to."""

    download_bytes: int
    """Bytes that were downloaded, or, in a dry run, that would be."""


@dataclass(frozen=True)
class Sync:
    """What a sync did, or would do."""

    lock_file: Path
    relocked: tuple[Locked, ...]
    """Entries that were locked anew first, because the registry changed."""
    models: tuple[Download, ...]
    """Every locked view; empty in a dry run."""
    plans: tuple[Plan, ...]
    """Every locked view, in a dry run."""
    repairs: tuple[Repaired, ...]
    """Damaged content that is whole again."""
    removed: tuple[Place, ...]
    """Files of ours in locked views that do not belong there, which are gone."""
    kept: tuple[Kept, ...]
    """Files in locked views that stay because they are not ours."""
    pruned: Removal | None
    """Views that are not locked, which are gone; `None` where that was not asked for."""
    totals: SyncTotals
    dry_run: bool


@dataclass(frozen=True)
class LintFinding:
    """Something odd in a registry."""

    level: Literal["error", "warning", "note"]
    rule: str
    """A word or two, the same in every version."""
    line: int
    column: int
    model: str | None
    format: str | None
    quant: str | None
    repo_path: str | None
    """The file of a repository it is about."""
    message: str
    hint: str
    """What to do."""


@dataclass(frozen=True)
class LintTotals:
    """How much was looked at, and found."""

    entries: int
    """Entries that were looked at; 0 where the text is no registry."""
    errors: int
    warnings: int
    notes: int


@dataclass(frozen=True)
class Lint:
    """What a look through the registry found."""

    registry: str
    """The registry file."""
    online: bool
    """Whether the Hub was asked."""
    findings: tuple[LintFinding, ...]
    """In file order."""
    totals: LintTotals

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong; there may be warnings and notes."""
        return all(finding.level != "error" for finding in self.findings)

    @property
    def differs(self) -> bool:
        """Whether a size or hash of the registry is not what the Hub publishes."""
        return any(finding.rule == "differs" for finding in self.findings)


@dataclass(frozen=True)
class Addition:
    """An entry of the registry that was added or pinned anew, or would be."""

    model: str
    format: str
    quant: str | None
    origin: Origin
    """The repository and its commit."""
    license: str | None
    gated: bool
    projectors: tuple[RepoFile, ...]
    """Projectors that the entry names beside the model."""
    companions: tuple[RepoFile, ...]
    """Drafts and the like that it names beside the model."""
    total_bytes: int
    registry: Path
    """The registry file."""
    line: int
    """Where the entry begins in it."""
    created: bool
    """Whether the file was made, from the built-in registry."""
    changed: bool
    """Whether the text changed: an entry that is pinned anew may be as it should be."""
    dry_run: bool
    entry: str
    """The entry as it stands in the file."""
    diff: str
    """The change as a unified diff."""
    notices: tuple[Notice, ...]
    """What was chosen and why."""


@dataclass(frozen=True)
class Use:
    """A backend's settings with a model in them."""

    path: Path
    """The model's file or folder."""
    backend: Literal["llama_cpp", "vllm"]
    settings_file: Path
    """The settings."""
    key: str
    value: str
    """What stands there, relative to the project where the model lies in it."""
    before: str | None
    line: int
    line_text: str
    created: bool
    """Whether the file was not there."""
    changed: bool
    """Whether anything differs from before."""
    dry_run: bool
    text: str
    """The whole file as it is now or, in a dry run, would be."""

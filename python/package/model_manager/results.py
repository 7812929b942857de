"""What the methods of `Manager` return: the words of ``--json``, which `docs/json.md` lists.

`size` is the length of one file, every other amount of bytes is called ``*_bytes``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ._paths import HasPath, PathText
from ._project_results import (
    Addition,
    FileChange,
    Lint,
    LintFinding,
    LintTotals,
    Lock,
    LockCheck,
    LockCheckTotals,
    LockProblem,
    Locked,
    Sync,
    SyncTotals,
    Use,
)

__all__ = [
    "Addition",
    "Blob",
    "BlobUser",
    "BorrowSource",
    "ByteRange",
    "Collection",
    "CollectionTotals",
    "Diagnosis",
    "DiagnosisTotals",
    "Download",
    "File",
    "FileChange",
    "Finding",
    "Form",
    "Kept",
    "Label",
    "LeftOut",
    "Lint",
    "LintFinding",
    "LintTotals",
    "Listed",
    "ListedFile",
    "Lock",
    "LockCheck",
    "LockCheckTotals",
    "LockProblem",
    "Locked",
    "Memory",
    "ModelInfo",
    "Notice",
    "Origin",
    "Owner",
    "Partial",
    "Place",
    "Plan",
    "KnownStore",
    "Project",
    "Removal",
    "RemovalTotals",
    "Repair",
    "Repaired",
    "RepoFile",
    "SharedBlob",
    "Source",
    "Space",
    "SpaceTotals",
    "Sync",
    "SyncTotals",
    "Use",
    "Verified",
    "View",
    "Weights",
    "Why",
]


@dataclass(frozen=True)
class Notice:
    """What was chosen and why, or what else is worth a line."""

    kind: str
    """What it is about: a word that stays the same."""
    message: str


@dataclass(frozen=True)
class Origin:
    """Where a model comes from."""

    repo: str
    """The repository, or the address of a folder on a web server."""
    revision: str | None
    """The branch or tag that is followed; `None` where a commit is pinned, or the repository's own branch is meant."""
    commit: str | None
    """`None` while nobody was asked."""


@dataclass(frozen=True)
class RepoFile:
    """A file of a repository."""

    repo_path: str
    """Its path in the repository."""
    size: int | None
    sha256: str | None


@dataclass(frozen=True)
class View:
    """What is shown as ``models/<model>/<format>/<quant>``."""

    model: str
    format: str
    quant: str | None


@dataclass(frozen=True)
class File(HasPath):
    """One file of a planned or finished download."""

    file: str
    """Its path below the view's folder."""
    path: Path
    """Where it stands, or will."""
    size: int | None
    sha256: str | None
    git_sha1: str | None
    """The git hash by which the Hub knows a small file, where it was asked."""
    trust: Literal["sha256-upstream", "git-sha1-upstream", "tofu"] | None
    """How far what is here is trusted: ``tofu`` where nobody published a hash. `None` while it is not here."""
    state: Literal["present", "damaged", "adopt", "local", "partial", "fetch"]
    """Where its bytes are or come from."""
    download_bytes: int
    """Bytes that were downloaded for it, or, in a plan, that would be."""
    borrowed_bytes: int
    """Bytes that were copied from other files of the store in place of a download."""


@dataclass(frozen=True)
class LeftOut:
    """A file of the repository that a set leaves out."""

    repo_path: str
    """Its path in the repository."""
    size: int
    reason: str


@dataclass(frozen=True)
class Memory:
    """Whether a model fits the memory of this machine, and the numbers behind the answer."""

    verdict: Literal["fits", "tight", "does_not_fit", "unknown"]
    weights_bytes: int | None
    required_bytes: int | None
    """What running it takes at least: the weights, a tenth of them and 0.5 GB."""
    recommended_bytes: int | None
    """The memory of a machine that runs it with ease: 2 GB more, or the least that the registry names."""
    ram: str | None
    """What the registry says, for people."""
    memory_bytes: int | None
    """The memory of this machine, where that can be told."""
    is_estimate: bool
    """Whether ``weights_bytes`` is estimated from the number of parameters."""


@dataclass(frozen=True)
class BorrowSource:
    """A file in the store that may have tensors which a download needs."""

    sha256: str
    repo: str | None
    """The repository that it came from, where that is known."""
    commit: str | None
    repo_path: str | None
    borrow_bytes: int
    """Bytes that may be taken from it."""


@dataclass(frozen=True)
class Plan(HasPath):
    """What a download would do."""

    model: str
    format: str
    quant: str | None
    path: Path
    """The path it would return."""
    origin: Origin
    license: str | None
    gated: bool
    files: tuple[File, ...]
    total_bytes: int
    """Bytes of all files whose size is known."""
    download_bytes: int
    """Bytes that would be downloaded."""
    borrow_bytes: int
    """Of these, bytes that may be taken from similar files in the store instead."""
    borrow_from: tuple[BorrowSource, ...]
    disk_bytes: int
    """Bytes that would be taken on the store's volume."""
    store: Path
    free_bytes: int | None
    """Bytes free on the store's volume, where that can be told."""
    free_bytes_after: int | None
    """`None` where they do not suffice."""
    memory: Memory
    api_requests: int
    """Requests that planning took."""
    requests: int
    """Requests that the download would make at least."""
    left_out: tuple[LeftOut, ...]
    """Files of the repository that a set leaves out, the first thousand of them."""
    notices: tuple[Notice, ...]
    """What was chosen and why."""


@dataclass(frozen=True, eq=False)
class Download(PathText):
    """What a download did. It is a `str`, the path: `Llama(model_path=m.download(...))` works as it is."""

    model: str
    # Declared as a field without a value: the method of `str` is none.
    format: str = field()  # type: ignore[assignment]
    quant: str | None
    path: Path
    """What to give to a backend: the file of a GGUF (part 1 of a split one), the folder of a set."""
    files: tuple[File, ...]
    total_bytes: int
    """Bytes of all files."""
    download_bytes: int
    """Bytes that were downloaded."""
    borrowed_bytes: int
    """Bytes that were copied from other files of the store in place of a download."""
    link: str
    """How the tree shows the files: symlink, hardlink, reflink or copy."""
    notices: tuple[Notice, ...]
    """What was chosen and why."""


@dataclass(frozen=True, eq=False)
class Listed(PathText):
    """A model in the models directory. It is a `str`, the path."""

    model: str
    # Declared as a field without a value: the method of `str` is none.
    format: str = field()  # type: ignore[assignment]
    quant: str | None
    path: Path
    state: Literal["stored", "foreign", "broken", "damaged"]
    """Whether its files lead into the store, are plain files, are missing, or are known not to be what they should be."""
    total_bytes: int
    """Bytes of all its files."""
    files: tuple[ListedFile, ...]
    """What its record says it has; what else lies in its folder is not among them."""
    project: str
    """The models directory that shows it."""
    added_at: str | None
    """When it came, RFC 3339; ``None`` where that is not known."""
    used_at: str | None
    """When it was last used."""
    verified_at: str | None
    """When the file that was verified longest ago was."""
    source: str | None
    """Its repository, or the folder on a web server that it came from."""


@dataclass(frozen=True)
class ListedFile(HasPath):
    """A file of a listed model."""

    file: str
    """Its path below the view's folder."""
    path: Path
    size: int
    """0 where it cannot be read."""
    state: Literal["stored", "foreign", "missing", "damaged"]


@dataclass(frozen=True)
class Verified(HasPath):
    """A file that was checked."""

    model: str
    format: str
    quant: str | None
    path: Path
    size: int
    state: Literal["ok", "unverified", "modified", "missing", "foreign"]
    """``unverified`` is as it was recorded when it came, but was never compared with a published hash."""
    sha256: str | None
    damaged_ranges: tuple[ByteRange, ...]
    """Parts of it that are damaged, where the records tell."""
    note: str | None

    @property
    def is_good(self) -> bool:
        """Whether nothing speaks against the file: it is ``ok`` or ``unverified``."""
        return self.state in ("ok", "unverified")


@dataclass(frozen=True)
class ByteRange:
    """A part of a file: from `start` to before `end`."""

    start: int
    end: int


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
    users: tuple[BlobUser, ...]


@dataclass(frozen=True)
class BlobUser:
    """A view that uses a blob."""

    project: str
    """The models directory of its project, or the project's uuid where that is not known."""
    kind: str
    """``view``, ``exposure``, ``replacement``, ``remote`` or ``unknown``."""
    model: str | None
    format: str | None
    quant: str | None
    name: str | None
    """The application or the remote."""
    entry: str | None
    """What a later version wrote, as it stands in the record."""


@dataclass(frozen=True)
class Place(HasPath):
    """A file or folder."""

    path: Path


@dataclass(frozen=True)
class Kept(HasPath):
    """A file that stays where it is."""

    path: Path
    reason: str


@dataclass(frozen=True)
class RemovalTotals:
    """What a removal comes to."""

    freed_bytes: int


@dataclass(frozen=True)
class Removal:
    """What a removal did, or would do."""

    models: tuple[View, ...]
    removed: tuple[Place, ...]
    kept: tuple[Kept, ...]
    """Files that stay because they are not the model's."""
    blobs: tuple[Blob, ...]
    shared: tuple[SharedBlob, ...]
    totals: RemovalTotals
    dry_run: bool


@dataclass(frozen=True)
class Weights:
    """What the files of a model say about themselves: GGUF headers, or safetensors headers and ``config.json``."""

    role: str | None
    """What it is for, such as ``mmproj`` or ``adapter``, where a GGUF header says that it is no model."""
    architecture: str | None
    """Such as ``llama`` or ``LlamaForCausalLM``."""
    name: str | None
    context_length: int | None
    """Tokens that it was trained to take."""
    parameters: int | None
    """`None` where packing hides their number."""
    quantization: str | None
    """How most of the weights are kept, such as ``Q4_K_M``, ``BF16`` or ``awq 4 bit``."""
    chat_template: str | None
    """The Jinja template that makes text from messages."""


@dataclass(frozen=True)
class Form:
    """One quantization of a model, or the one form of a format without any."""

    format: str
    quant: str | None
    origin: Origin
    files: tuple[RepoFile, ...]
    """Empty for a complete set."""
    total_bytes: int | None
    pinned: bool
    """Whether revision, sizes and hashes are all known."""
    verified: bool
    """Whether its hashes are published."""
    present: bool
    is_default: bool
    """Whether it is what a download takes where nothing else is said."""
    bits_per_weight: float | None
    """Bits of its weights for each parameter, where both are known."""
    memory: Memory
    """Whether it fits the memory of this machine."""
    status: Literal["active", "superseded", "deprecated"]
    superseded_by: str | None
    gated: bool
    license: str | None
    note: str | None
    weights: Weights | None
    """`None` where its files are not here and were not asked for, or say nothing; and in the overview of all models."""
    weights_note: str | None
    """Why a file of it could not be looked into."""


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
    labels: tuple[Label, ...]
    """The GGUF files and sets of parts of a repository that was named without a label."""


@dataclass(frozen=True)
class Label:
    """A GGUF file, or set of parts, of a repository."""

    label: str
    """What ``owner/repo:LABEL`` names."""
    role: Literal["model", "mmproj", "draft", "imatrix", "tokenizer", "encoder", "vae", "adapter"]
    """By its name, or by its header where that was read and the name says nothing."""
    total_bytes: int
    files: tuple[RepoFile, ...]
    present: bool
    """Whether it is here."""
    is_default: bool
    """Whether it is what a download takes where nothing else is said."""
    bits_per_weight: float | None
    """Bits of a model for each parameter, where these are known."""
    memory: Memory | None
    """Whether a model fits the memory of this machine; `None` for what is none."""


@dataclass(frozen=True)
class Partial:
    """An interrupted download."""

    key: str
    """Its name in the store."""
    file: str
    """The file it would become."""
    disk_bytes: int


@dataclass(frozen=True)
class Collection:
    """What a garbage collection removed, or would remove."""

    dry_run: bool
    blobs: tuple[Blob, ...]
    partials: tuple[Partial, ...]
    """Abandoned downloads."""
    leftovers: tuple[Place, ...]
    """Records without a blob, and temporary files of processes that are no more."""
    frees_nothing: tuple[Blob, ...]
    """Those among `blobs` whose file has further names (hard links)."""
    open: tuple[Blob, ...]
    """Blobs that stay because a program has them open, which happens on Windows."""
    totals: CollectionTotals
    longest_section_ms: float | None
    """The longest time others were shut out, in milliseconds."""


@dataclass(frozen=True)
class CollectionTotals:
    """What a collection comes to."""

    kept_blobs: int
    """Blobs that something needs."""
    young_blobs: int
    """Blobs that nothing needs, but that are younger than the grace period."""
    young_bytes: int
    freed_bytes: int


@dataclass(frozen=True)
class Source:
    """Where a blob came from."""

    kind: str
    """``source``, ``local``, ``app``, ``remote`` or ``unknown``."""
    endpoint: str | None
    """The Hub or mirror."""
    repo: str | None
    commit: str | None
    repo_path: str | None
    git_sha1: str | None
    path: str | None
    """Where a local file was."""
    name: str | None
    """The application or the remote."""
    entry: str | None
    """What a later version wrote, as it stands in the record."""


@dataclass(frozen=True)
class Why:
    """Who keeps a blob."""

    sha256: str
    size: int | None
    present: bool
    damaged: bool
    """Whether it is known not to be what its hash says."""
    users: tuple[BlobUser, ...]
    leased: bool
    """Whether a running process relies on it."""
    trust: Literal["sha256-upstream", "git-sha1-upstream", "tofu"] | None
    """How far its content is trusted: ``tofu`` where nobody published a hash. `None` where nothing is recorded."""
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Space:
    """Where the store's bytes are."""

    store: Path
    totals: SpaceTotals


@dataclass(frozen=True)
class SpaceTotals:
    """What a store holds."""

    blobs: int
    damaged_blobs: int
    """Blobs that are known to be damaged."""
    projects: int
    shown_bytes: int
    """What all views together show."""
    stored_bytes: int
    """What all blobs take on the volume."""
    shared_bytes: int
    """What sharing saves."""
    reclaimable_bytes: int
    """Blobs that nothing needs."""
    partial_bytes: int
    """Interrupted downloads."""
    free_bytes: int
    volume_bytes: int


@dataclass(frozen=True)
class Project(HasPath):
    """A project that uses the store."""

    uuid: str
    path: Path
    """Its models directory when it was last seen."""
    host: str
    last_seen: str
    """RFC 3339."""
    state: Literal["live", "missing", "unreachable"]
    """``unreachable``: another host, a volume that is not mounted, no permission."""
    models: tuple[View, ...]
    other_owners: tuple[Owner, ...]
    """What else keeps blobs for it."""
    total_bytes: int


@dataclass(frozen=True)
class KnownStore(HasPath):
    """A store that you used."""

    uuid: str
    path: Path
    """Where it was."""
    noted_at: str
    """When it was first seen there, RFC 3339."""
    state: Literal["own", "usable", "unusable", "silent"]
    """``own``: that of this project; ``silent``: its volume does not answer."""
    problem: str | None
    """Why it cannot be used."""


@dataclass(frozen=True)
class Owner:
    """What keeps blobs for a project."""

    kind: str
    """``view``, ``exposure``, ``replacement``, ``remote`` or ``unknown``."""
    model: str | None
    format: str | None
    quant: str | None
    name: str | None
    entry: str | None


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    severity: Literal["leftover", "repairable", "loss"]
    path: Path
    message: str
    repair: str
    """What to do about it."""


@dataclass(frozen=True)
class DiagnosisTotals:
    """What was looked at."""

    blobs: int


@dataclass(frozen=True)
class Diagnosis:
    """What a doctor's visit found."""

    store: Path
    full: bool
    """Whether every byte was read."""
    findings: tuple[Finding, ...]
    """The worst first."""
    totals: DiagnosisTotals

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is lost."""
        return all(finding.severity != "loss" for finding in self.findings)


@dataclass(frozen=True)
class Repaired(HasPath):
    """A file that was damaged or missing."""

    path: Path
    sha256: str | None
    """The digest it should have, where known."""
    repaired: bool
    download_bytes: int
    """0 for a copy that was made again, or where the whole is downloaded with its model."""
    note: str | None
    """Why it is not repaired."""


@dataclass(frozen=True)
class Repair:
    """What a repair did."""

    repairs: tuple[Repaired, ...]
    """Every file that was damaged or missing."""
    download_bytes: int
    """Bytes that were downloaded."""

    @property
    def is_complete(self) -> bool:
        """Whether every file is whole again."""
        return all(file.repaired for file in self.repairs)

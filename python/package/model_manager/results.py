"""What the methods of `Manager` return. Sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ._project_results import (
    Addition,
    FileChange,
    Lint,
    LintFinding,
    Lock,
    LockCheck,
    LockProblem,
    Locked,
    Mended,
    Sync,
    Use,
)

__all__ = [
    "Addition",
    "Blob",
    "Collection",
    "Diagnosis",
    "Download",
    "File",
    "FileChange",
    "Finding",
    "Form",
    "Label",
    "LeftOut",
    "Lint",
    "LintFinding",
    "Listed",
    "Lock",
    "LockCheck",
    "LockProblem",
    "Locked",
    "Memory",
    "Mended",
    "ModelInfo",
    "Partial",
    "Plan",
    "Project",
    "Removal",
    "Repair",
    "Repaired",
    "SharedBlob",
    "Source",
    "Space",
    "Sync",
    "Use",
    "Verified",
    "View",
    "Weights",
    "Why",
]


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
    git_sha1: str | None
    """The git hash by which the Hub knows a small file, where it was asked."""
    trust: Literal["sha256-upstream", "git-sha1-upstream", "tofu"] | None
    """How far what is here is vouched for: ``tofu`` where nobody published a hash. `None` while it is not here."""
    state: Literal["present", "damaged", "adopt", "partial", "fetch"]
    """Where its bytes are or come from."""
    fetched: int
    """Bytes that travelled, or, in a plan, that would."""


@dataclass(frozen=True)
class LeftOut:
    """A file of the repository that a set leaves out."""

    file: str
    """Its path in the repository."""
    size: int
    why: str


@dataclass(frozen=True)
class Memory:
    """Whether a model fits the memory of this machine, and the numbers behind the answer."""

    verdict: Literal["fits", "tight", "does_not_fit", "unknown"]
    weights: int | None
    need: int | None
    """What running it takes at least: the weights, a tenth of them and 0.5 GB."""
    wanted: int | None
    """The memory of a machine that runs it with ease: 2 GB more, or the least that the registry names."""
    ram: str | None
    """What the registry says, for people."""
    total: int | None
    """The memory of this machine, where that can be told."""


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
    take: int
    """Bytes that would be taken on the store's volume."""
    store: Path
    free: int | None
    """Bytes free on the store's volume, where that can be told."""
    free_after: int | None
    """`None` where they do not suffice."""
    memory: Memory
    api_requests: int
    """Requests that planning took."""
    requests: int
    """Requests that the download would make at least."""
    left_out: tuple[LeftOut, ...]
    """Files of the repository that a set leaves out, the first thousand of them."""
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
    """What its record says it has; what else lies in its folder is not among them."""
    size: int
    state: Literal["stored", "foreign", "broken", "damaged"]
    """Whether its files lead into the store, are plain files, are missing, or are known not to be what they should be."""
    missing: tuple[str, ...]
    """Those of its files that are not there."""
    damaged: tuple[str, ...]
    """Those that are known not to be what they should be."""


@dataclass(frozen=True)
class Verified:
    """A file that was checked."""

    model: str
    format: str
    quant: str | None
    path: Path
    size: int
    state: Literal["ok", "unverified", "modified", "missing", "foreign"]
    """``unverified`` is as it was recorded when it came, but was never compared with a published hash."""
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
    """Files that stay because they are not the model's, and why."""
    blobs: tuple[Blob, ...]
    freed: int
    shared: tuple[SharedBlob, ...]
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
    repo: str
    revision: str | None
    files: tuple[str, ...]
    """Empty for a complete set."""
    size: int | None
    pinned: bool
    """Whether revision, sizes and hashes are all known."""
    verified: bool
    """Whether its hashes are published."""
    present: bool
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
    size: int
    files: tuple[str, ...]
    present: bool
    """Whether it is here."""


@dataclass(frozen=True)
class Partial:
    """An interrupted download."""

    key: str
    """Its name in the store."""
    what: str
    """The file it would become."""
    bytes: int


@dataclass(frozen=True)
class Collection:
    """What a garbage collection removed, or would remove."""

    dry_run: bool
    blobs: tuple[Blob, ...]
    partials: tuple[Partial, ...]
    """Abandoned downloads."""
    leftovers: tuple[Path, ...]
    """Records without a blob, and temporary files of processes that are no more."""
    kept: int
    """Blobs that something needs."""
    young: int
    """Blobs that nothing needs, but that are younger than the grace period."""
    young_bytes: int
    freed: int
    frees_nothing: tuple[Blob, ...]
    """Those among `blobs` whose file has further names (hard links)."""
    open: tuple[Blob, ...]
    """Blobs that stay because a program has them open, which happens on Windows."""
    longest_section_ms: float | None
    """The longest time others were shut out, in milliseconds."""


@dataclass(frozen=True)
class Source:
    """Where a blob came from."""

    endpoint: str
    """The Hub or mirror; ``local`` for a file that was on this machine."""
    repo: str | None
    commit: str | None
    path: str | None
    git_sha1: str | None


@dataclass(frozen=True)
class Why:
    """Who keeps a blob."""

    sha256: str
    size: int | None
    present: bool
    damaged: bool
    """Whether it is known not to be what its hash says."""
    users: tuple[str, ...]
    """Project and view."""
    leased: bool
    """Whether a running process relies on it."""
    trust: Literal["sha256-upstream", "git-sha1-upstream", "tofu"] | None
    """How far its content is vouched for: ``tofu`` where nobody published a hash. `None` where nothing is recorded."""
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Space:
    """Where the store's bytes are."""

    store: Path
    blobs: int
    damaged: int
    """Blobs that are known to be damaged."""
    projects: int
    logical: int
    """What all views together show."""
    physical: int
    """What all blobs take on the volume."""
    shared: int
    """What sharing saves."""
    reclaimable: int
    """Blobs that nothing needs."""
    partial: int
    """Interrupted downloads."""
    free: int
    total: int


@dataclass(frozen=True)
class Project:
    """A project that uses the store."""

    uuid: str
    path: Path
    """Its models directory when it was last seen."""
    host: str
    last_seen: str
    """RFC 3339."""
    state: Literal["live", "missing", "unreachable"]
    """``unreachable``: another host, a volume that is not mounted, no permission."""
    views: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    severity: Literal["leftover", "repairable", "loss"]
    path: Path
    what: str
    mend: str
    """What to do about it, in terms of the command line."""


@dataclass(frozen=True)
class Diagnosis:
    """What a doctor's visit found."""

    store: Path
    blobs: int
    read_bytes: bool
    """Whether every byte was read."""
    findings: tuple[Finding, ...]
    """The worst first."""

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is lost."""
        return all(finding.severity != "loss" for finding in self.findings)


@dataclass(frozen=True)
class Repaired:
    """A file that was damaged or missing."""

    path: Path
    mended: bool
    fetched: int
    note: str | None
    """Why it is not mended."""


@dataclass(frozen=True)
class Repair:
    """What a repair did."""

    files: tuple[Repaired, ...]
    """Every file that was damaged or missing."""
    fetched: int
    """Bytes that travelled."""

    @property
    def is_complete(self) -> bool:
        """Whether every file is whole again."""
        return all(file.mended for file in self.files)

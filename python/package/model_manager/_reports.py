"""Reports of the core -> `model_manager.results`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from . import results
from .results import (
    Addition,
    Blob,
    BlobUser,
    BorrowSource,
    ByteRange,
    Collection,
    CollectionTotals,
    Diagnosis,
    DiagnosisTotals,
    Download,
    File,
    FileChange,
    Finding,
    Form,
    Kept,
    Label,
    LeftOut,
    Lint,
    LintFinding,
    LintTotals,
    Listed,
    ListedFile,
    Lock,
    LockCheck,
    LockCheckTotals,
    LockProblem,
    Locked,
    Memory,
    ModelInfo,
    Notice,
    Origin,
    Owner,
    Partial,
    Place,
    Plan,
    KnownStore,
    Project,
    Removal,
    RemovalTotals,
    Repair,
    Repaired,
    RepoFile,
    SharedBlob,
    Source,
    Space,
    SpaceTotals,
    Sync,
    SyncTotals,
    Verified,
    View,
    Weights,
    Why,
)

_PARTS: dict[tuple[type[Any], str], Any] = {
    (Plan, "files"): File,
    (Plan, "borrow_from"): BorrowSource,
    (Plan, "left_out"): LeftOut,
    (Plan, "memory"): Memory,
    (Plan, "origin"): Origin,
    (Plan, "notices"): Notice,
    (Download, "notices"): Notice,
    (Addition, "notices"): Notice,
    (Download, "files"): File,
    (Listed, "files"): ListedFile,
    (Verified, "damaged_ranges"): ByteRange,
    (Removal, "models"): View,
    (Removal, "removed"): Place,
    (Removal, "kept"): Kept,
    (Removal, "totals"): RemovalTotals,
    (Removal, "blobs"): Blob,
    (Removal, "shared"): SharedBlob,
    (SharedBlob, "users"): BlobUser,
    (ModelInfo, "forms"): Form,
    (Form, "memory"): Memory,
    (Label, "memory"): Memory,
    (ModelInfo, "labels"): Label,
    (Collection, "blobs"): Blob,
    (Collection, "partials"): Partial,
    (Collection, "leftovers"): Place,
    (Collection, "frees_nothing"): Blob,
    (Collection, "open"): Blob,
    (Collection, "totals"): CollectionTotals,
    (Why, "sources"): Source,
    (Why, "users"): BlobUser,
    (Space, "totals"): SpaceTotals,
    (Project, "models"): View,
    (Project, "other_owners"): Owner,
    (Diagnosis, "totals"): DiagnosisTotals,
    (Diagnosis, "findings"): Finding,
    (Repair, "repairs"): Repaired,
    (Form, "weights"): Weights,
    (Form, "origin"): Origin,
    (Form, "files"): RepoFile,
    (Label, "files"): RepoFile,
    (Lock, "models"): Locked,
    (Locked, "origin"): Origin,
    (Locked, "old_origin"): Origin,
    (Locked, "files"): FileChange,
    (LockCheck, "problems"): LockProblem,
    (LockCheck, "totals"): LockCheckTotals,
    (Sync, "relocked"): Locked,
    (Sync, "models"): Download,
    (Sync, "plans"): Plan,
    (Sync, "repairs"): Repaired,
    (Sync, "removed"): Place,
    (Sync, "kept"): Kept,
    (Sync, "totals"): SyncTotals,
    (Sync, "pruned"): Removal,
    (Lint, "findings"): LintFinding,
    (Lint, "totals"): LintTotals,
    (Addition, "origin"): Origin,
    (Addition, "projectors"): RepoFile,
    (Addition, "companions"): RepoFile,
}
"""What a part of a report, or each in a list of them, is, where that is not plain values."""


def from_report(name: str, report: Any) -> Any:
    """The result, or list of results, for a report of the core, which calls this."""
    cls = getattr(results, name)
    return [_make(cls, one) for one in report] if isinstance(report, list) else _make(cls, report)


def _make(cls: type[Any], report: dict[str, Any]) -> Any:
    """Keys that a newer core adds are left out; ones it leaves out are `None`."""
    values: dict[str, Any] = {}
    for field in fields(cls):
        value: Any = report.get(field.name)
        part = _PARTS.get((cls, field.name))
        if part is not None and value is not None:
            value = tuple(_make(part, one) for one in value) if isinstance(value, list) else _make(part, value)
        elif field.type == "Path":
            value = Path(value)
        elif isinstance(value, list):
            value = tuple(value)
        values[field.name] = value
    return cls(**values)

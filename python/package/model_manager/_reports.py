"""Reports of the core -> `model_manager.results`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from . import results
from .results import (
    Blob,
    Collection,
    Diagnosis,
    Download,
    File,
    FileChange,
    Finding,
    Form,
    Lint,
    LintFinding,
    Lock,
    LockCheck,
    LockProblem,
    Locked,
    Label,
    LeftOut,
    Memory,
    Mended,
    ModelInfo,
    Partial,
    Plan,
    Removal,
    Repair,
    Repaired,
    SharedBlob,
    Source,
    Sync,
    View,
    Weights,
    Why,
)

_PARTS: dict[tuple[type[Any], str], Any] = {
    (Plan, "files"): File,
    (Plan, "left_out"): LeftOut,
    (Plan, "memory"): Memory,
    (Download, "files"): File,
    (Removal, "views"): View,
    (Removal, "removed"): Path,
    (Removal, "blobs"): Blob,
    (Removal, "shared"): SharedBlob,
    (ModelInfo, "forms"): Form,
    (ModelInfo, "labels"): Label,
    (Collection, "blobs"): Blob,
    (Collection, "partials"): Partial,
    (Collection, "leftovers"): Path,
    (Collection, "frees_nothing"): Blob,
    (Collection, "open"): Blob,
    (Why, "sources"): Source,
    (Diagnosis, "findings"): Finding,
    (Repair, "files"): Repaired,
    (Form, "weights"): Weights,
    (Lock, "views"): Locked,
    (Locked, "files"): FileChange,
    (LockCheck, "problems"): LockProblem,
    (Sync, "relocked"): Locked,
    (Sync, "views"): Download,
    (Sync, "plans"): Plan,
    (Sync, "mended"): Mended,
    (Sync, "removed"): Path,
    (Sync, "pruned"): Removal,
    (Lint, "findings"): LintFinding,
}
"""What a part of a report, or each in a list of them, is, where that is not plain values."""


def from_report(name: str, report: Any) -> Any:
    """The result, or list of results, for a report of the core, which calls this."""
    cls = getattr(results, name)
    return [_make(cls, one) for one in report] if isinstance(report, list) else _make(cls, report)


def _make(cls: type[Any], report: dict[str, Any]) -> Any:
    """Keys that a newer core adds are left out; ones it leaves out are `None`."""
    if cls is Path:
        return Path(str(report))
    values: dict[str, Any] = {}
    for field in fields(cls):
        value: Any = report.get(field.name)
        part = _PARTS.get((cls, field.name))
        if part is not None and value is not None:
            value = tuple(_make(part, one) for one in value) if isinstance(value, list) else _make(part, value)
        elif field.type == "Path":
            value = Path(value)
        elif isinstance(value, list):
            value = tuple(tuple(one) if isinstance(one, list) else one for one in value)
        values[field.name] = value
    if cls is Removal:
        values["kept"] = tuple((Path(path), why) for path, why in values["kept"])
    elif cls is Sync:
        values["kept"] = tuple((Path(one["path"]), one["why"]) for one in values["kept"])
    return cls(**values)

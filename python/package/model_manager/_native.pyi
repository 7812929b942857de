"""The native half; use `model_manager.Manager` instead."""

import builtins
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict, final

from .results import (
    Collection,
    Diagnosis,
    Download,
    Listed,
    ModelInfo,
    Plan,
    Project,
    Removal,
    Repair,
    Space,
    Verified,
    Why,
)

__version__: str

class _Arguments(TypedDict):
    models_dir: str | PathLike[str] | None
    config_path: str | PathLike[str] | None
    store: str | PathLike[str] | None
    endpoint: Sequence[str] | None
    token: str | None
    offline: bool | None
    link: str | None
    connections: int | None
    limit_rate: int | None
    lock_timeout: float | None

class _Watch(TypedDict):
    listener: Callable[[str, dict[str, Any]], None] | None
    progress: bool
    cancel: CancelToken | None

_Which = tuple[str, str | None, str | None]

@final
class CancelToken:
    """Stops work that runs on another thread. What arrived is kept, and the next download goes on from there."""
    def __new__(cls) -> CancelToken: ...
    def cancel(self) -> None:
        """Asks the work to stop. It raises `CancelledError` where it was called."""
    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""

@final
class Native:
    def __new__(cls, arguments: _Arguments) -> Native: ...
    def with_registry(self, text: str, origin: str) -> Native: ...
    def registry_text(self) -> tuple[str, str] | None: ...
    @property
    def models_dir(self) -> Path: ...
    @property
    def store_dir(self) -> Path: ...
    @property
    def project_root(self) -> Path: ...
    @property
    def config_path(self) -> Path | None: ...
    def path(self, which: _Which) -> Path: ...
    @property
    def warnings(self) -> builtins.list[str]: ...
    def list(self, watch: _Watch, format: str | None) -> builtins.list[Listed]: ...
    def info(self, watch: _Watch, model: str | None) -> builtins.list[ModelInfo]: ...
    def plan(self, watch: _Watch, which: _Which, revision: str | None, force: bool, mmproj: str | None) -> Plan: ...
    def download(
        self, watch: _Watch, which: _Which, revision: str | None, force: bool, mmproj: str | None
    ) -> Download: ...
    def verify(self, watch: _Watch, which: builtins.list[_Which], mode: str) -> builtins.list[Verified]: ...
    def repair(self, watch: _Watch, which: builtins.list[_Which], mode: str) -> Repair: ...
    def remove(self, watch: _Watch, which: _Which, keep_blobs: bool, dry_run: bool) -> Removal: ...
    def gc(self, watch: _Watch, grace: float, partials: float, only_this_host: bool, dry_run: bool) -> Collection: ...
    def why(self, watch: _Watch, what: str) -> builtins.list[Why]: ...
    def df(self, watch: _Watch) -> Space: ...
    def doctor(self, watch: _Watch, full: bool) -> Diagnosis: ...
    def projects(self, watch: _Watch) -> builtins.list[Project]: ...
    def forget_project(self, watch: _Watch, project: str, force: bool) -> Project: ...
    def sha256(self, watch: _Watch, path: str | PathLike[str]) -> str: ...

def read_yaml(text: str, origin: str) -> Any: ...
def cli_main(argv: list[str]) -> int: ...

"""The native half; use `model_manager.Manager` instead."""

import builtins
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict, final

from .results import (
    Addition,
    Collection,
    Diagnosis,
    Download,
    Lint,
    Listed,
    Lock,
    LockCheck,
    ModelInfo,
    Plan,
    KnownStore,
    Project,
    Removal,
    Repair,
    Space,
    Sync,
    Use,
    Verified,
    Why,
)

__version__: str

class _Arguments(TypedDict):
    models_dir: str | PathLike[str] | None
    config_path: str | PathLike[str] | None
    store: str | PathLike[str] | None
    endpoint: Sequence[str] | None
    token: bool | str | None
    no_local: bool | None
    no_apps: bool | None
    borrow: bool | None
    offline: bool | None
    link: str | None
    connections: int | None
    limit_rate: int | None
    lock_timeout: float | None

class _Watch(TypedDict):
    listener: Callable[[str, dict[str, Any]], None] | None
    progress: bool
    cancel: CancelToken | None

class _Wanted(TypedDict):
    revision: str | None
    sha256: str | None
    force: bool
    companions: list[str]
    include: list[str]
    exclude: list[str]

class _Addition(TypedDict):
    id: str | None
    revision: str | None
    sha256: str | None
    description: str | None
    mmproj: bool | str | None
    companions: list[str]
    update: bool
    dry_run: bool

_Which = tuple[str, str | None, str | None]

def hint_examples() -> builtins.list[tuple[str, str]]: ...
def literal(text: str) -> str: ...

@final
class CancelToken:
    """Stops work that runs on another thread. What arrived is kept, and the next download resumes from there."""
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
    def with_changed(self, text: str, file: str, origin: str) -> Native: ...
    def with_config(self, path: str | PathLike[str]) -> Native: ...
    def registry_text(self) -> tuple[str, str] | None: ...
    @property
    def models_dir(self) -> Path: ...
    @property
    def store_dir(self) -> Path: ...
    @property
    def project_root(self) -> Path: ...
    @property
    def config_path(self) -> Path | None: ...
    @property
    def has_token(self) -> bool: ...
    @property
    def lock_file(self) -> Path: ...
    def path(self, which: _Which) -> Path: ...
    @property
    def warnings(self) -> builtins.list[str]: ...
    def list(self, watch: _Watch, format: str | None) -> builtins.list[Listed]: ...
    def info(self, watch: _Watch, which: _Which | None, remote: bool) -> builtins.list[ModelInfo]: ...
    def plan(
        self,
        watch: _Watch,
        which: _Which,
        wanted: _Wanted,
    ) -> Plan: ...
    def download(
        self,
        watch: _Watch,
        which: _Which,
        wanted: _Wanted,
    ) -> Download: ...
    def verify(self, watch: _Watch, which: builtins.list[_Which], mode: str) -> builtins.list[Verified]: ...
    def repair(self, watch: _Watch, which: builtins.list[_Which], mode: str) -> Repair: ...
    def remove(self, watch: _Watch, which: _Which, keep_blobs: bool, dry_run: bool) -> Removal: ...
    def lock(self, watch: _Watch, which: builtins.list[_Which], update: bool, dry_run: bool) -> Lock: ...
    def check_lock(self, watch: _Watch, which: builtins.list[_Which]) -> LockCheck: ...
    def sync(self, watch: _Watch, locked: bool, prune: bool, quick: bool, dry_run: bool) -> Sync: ...
    def add(self, watch: _Watch, which: _Which, addition: _Addition) -> Addition: ...
    def lint(self, watch: _Watch, online: bool) -> Lint: ...
    def use_model(
        self, watch: _Watch, which: _Which, backend: str, file: str | PathLike[str] | None, dry_run: bool
    ) -> Use: ...
    def init(self, watch: _Watch, shared: bool, group: str | None) -> Path: ...
    def init_for_user(self, watch: _Watch, dir: str | PathLike[str] | None) -> Path: ...
    def gc(self, watch: _Watch, grace: float, partials: float, only_this_host: bool, dry_run: bool) -> Collection: ...
    def why(self, watch: _Watch, what: str) -> builtins.list[Why]: ...
    def df(self, watch: _Watch) -> Space: ...
    def doctor(self, watch: _Watch, full: bool) -> Diagnosis: ...
    def projects(self, watch: _Watch) -> builtins.list[Project]: ...
    def forget_project(self, watch: _Watch, project: str, force: bool) -> Project: ...
    def stores(self, watch: _Watch) -> builtins.list[KnownStore]: ...
    def forget_store(self, watch: _Watch, store: str) -> KnownStore: ...
    def sha256(self, watch: _Watch, path: str | PathLike[str]) -> str: ...

def read_yaml(text: str, origin: str) -> Any: ...
def cli_main(argv: list[str]) -> int: ...

"""The native half; use `model_manager.Manager` instead."""

import builtins
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict, final

__version__: str

class _Arguments(TypedDict):
    models_dir: str | PathLike[str] | None
    config_path: str | PathLike[str] | None
    store: str | PathLike[str] | None
    endpoints: list[str] | None
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
    def list(self, watch: _Watch, format: str | None) -> builtins.list[dict[str, Any]]: ...
    def info(self, watch: _Watch, model: str | None) -> builtins.list[dict[str, Any]]: ...
    def plan(self, watch: _Watch, which: _Which, revision: str | None, force: bool) -> dict[str, Any]: ...
    def download(self, watch: _Watch, which: _Which, revision: str | None, force: bool) -> dict[str, Any]: ...
    def verify(self, watch: _Watch, which: builtins.list[_Which], mode: str) -> builtins.list[dict[str, Any]]: ...
    def remove(self, watch: _Watch, which: _Which, keep_blobs: bool, dry_run: bool) -> dict[str, Any]: ...
    def sha256(self, watch: _Watch, path: str | PathLike[str]) -> str: ...

def read_yaml(text: str, origin: str) -> Any: ...
def cli_main(argv: list[str]) -> int: ...

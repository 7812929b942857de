"""What every part of the manager has: settings, a registry, and how the native half is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

from . import _native
from ._log import log
from ._native import CancelToken
from .errors import UsageError

# As `typing` has it, which takes longer to import than this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Literal, TypedDict

    from . import events

    LinkMode = Literal["auto", "symlink", "hardlink", "reflink", "copy"]

    class Options(TypedDict, total=False):
        """What `Manager` takes by name only."""

        store: StrPath | None
        endpoint: str | Sequence[str] | None
        token: str | None
        offline: bool | None
        no_local: bool | None
        link: LinkMode | None
        connections: int | None
        limit_rate: int | None
        lock_timeout: float | None

StrPath = str | PathLike[str]
ProgressFunction = Callable[["events.Event"], object]


class Base:
    """Settings and a registry."""

    registry: dict[str, Any]
    """The registry file as plain values, with every key of it. Changes are seen by the next download."""

    def __init__(
        self,
        models_dir: StrPath | None = None,
        config_path: StrPath | None = None,
        *,
        store: StrPath | None = None,
        endpoint: str | Sequence[str] | None = None,
        token: str | None = None,
        offline: bool | None = None,
        no_local: bool | None = None,
        link: LinkMode | None = None,
        connections: int | None = None,
        limit_rate: int | None = None,
        lock_timeout: float | None = None,
    ) -> None:
        self._native = _native.Native(
            {
                "models_dir": models_dir,
                "config_path": config_path,
                "store": store,
                "endpoint": [endpoint] if isinstance(endpoint, str) else endpoint,
                "token": token,
                "offline": offline,
                "no_local": no_local,
                "link": link,
                "connections": connections,
                "limit_rate": limit_rate,
                "lock_timeout": lock_timeout,
            }
        )
        for warning in self._native.warnings:
            log("warning", "%s", warning)
        self._text, self._origin = "", "the registry"
        self._load_registry()
        self._read = self._known

    def _load_registry(self) -> None:
        found = self._native.registry_text()
        if found is None:
            raise UsageError(f"there is no registry at {self.config_path}", "Name another file, or none for the built-in one.")
        self._text, self._origin = found
        self._native = self._native.with_registry(self._text, self._origin)
        self.registry = _native.read_yaml(self._text, self._origin)
        self._known = repr(self.registry)

    def _current(self) -> _native.Native:
        """The native manager, with what was changed in `registry`."""
        now = repr(self.registry)
        if now != self._known:
            # JSON is YAML.
            import json

            text = json.dumps(self.registry, ensure_ascii=False, indent=0, default=str)
            self._native, self._known = self._native.with_changed(text, self._text, self._origin), now
        return self._native

    def _usable(self) -> _native.Native:
        """The same, or the last good one: for what a mistake in `registry` need not stop."""
        try:
            return self._current()
        except UsageError:
            return self._native

    def __repr__(self) -> str:
        return f"{type(self).__name__}(models_dir={str(self.models_dir)!r}, config_path={str(self.config_path)!r})"

    @property
    def models_dir(self) -> Path:
        """The visible tree, relative or absolute as it was given."""
        return self._native.models_dir

    @property
    def store_dir(self) -> Path:
        """Where the store is, or would be made."""
        return self._native.store_dir

    @property
    def project_root(self) -> Path:
        """The nearest folder at or above the current directory that holds ``configs/models.yaml``, else that directory."""
        return self._native.project_root

    @property
    def config_path(self) -> Path:
        """The registry file; where it would be, if the built-in registry is used."""
        return self._native.config_path or self.project_root / "configs" / "models.yaml"

    @property
    def lock_file(self) -> Path:
        """Where the lock file is, or would be made: beside the registry, under its name."""
        return self._native.lock_file


def which(model: str | None, format: str | None, quant: str | None) -> List[_native._Which]:
    if model is None and (format, quant) != (None, None):
        raise UsageError("`format` and `quant` need a model", "Name the model, or leave all three out for everything.")
    return [] if model is None else [(model, format, quant)]


def those(models: str | Sequence[str] | None, format: str | None, quant: str | None) -> List[_native._Which]:
    if models is None or isinstance(models, str):
        return which(models, format, quant)
    return [(model, format, quant) for model in models]


def watch(progress: ProgressFunction | None, cancel: CancelToken | None) -> _native._Watch:
    if progress is not None and not callable(progress):
        raise TypeError(f"`progress` must be a function, not {type(progress).__name__}")

    def listener(kind: str, fields: dict[str, Any]) -> None:
        from . import events

        event = events.from_kind(kind, fields)
        if progress is not None:
            progress(event)
        else:
            events.to_log(event)

    return {"listener": listener, "progress": progress is not None, "cancel": cancel}

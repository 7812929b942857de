"""What every part of the manager has: settings, a registry, and how the native half is asked."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from . import _native
from ._arguments import require
from ._log import log
from ._watch import Watch as watch
from .errors import AuthError, UsageError

# As `typing` has it, which takes longer to import than this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Literal

    from ._watch import Progress, ProgressFunction

    LinkMode = Literal["auto", "symlink", "hardlink", "reflink", "copy"]

__all__ = ["Base", "LinkMode", "Progress", "ProgressFunction", "StrPath", "those", "watch", "which"]

StrPath = str | PathLike[str]


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
        token: bool | str | None = None,
        offline: bool | None = None,
        no_local: bool | None = None,
        no_apps: bool | None = None,
        borrow: bool | None = None,
        link: LinkMode | None = None,
        connections: int | None = None,
        limit_rate: int | None = None,
        lock_timeout: float | None = None,
    ) -> None:
        arguments: _native._Arguments = {
            "models_dir": models_dir,
            "config_path": config_path,
            "store": store,
            "endpoint": [endpoint] if isinstance(endpoint, str) else endpoint,
            "token": token,
            "offline": offline,
            "no_local": no_local,
            "no_apps": no_apps,
            "borrow": borrow,
            "link": link,
            "connections": connections,
            "limit_rate": limit_rate,
            "lock_timeout": lock_timeout,
        }
        self._make(arguments)

    def _make(self, arguments: _native._Arguments) -> None:
        for name, value in arguments.items():
            if value is not None:
                require(name, value)
        self._arguments = arguments
        self._native = _native.Native(_with_token(arguments))
        if arguments["token"] is True:
            self._require_token()
        for warning in self._native.warnings:
            log("warning", "%s", warning)
        self._text, self._origin = "", "the registry"
        self._load_registry()
        self._read = self._known

    def __getstate__(self) -> dict[str, Any]:
        """For `pickle` and `copy`: what it was made from, the token included if one was given, and what `registry` became."""
        is_changed = repr(self.registry) != self._read
        return {"arguments": self._arguments, "registry": self.registry if is_changed else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._make(state["arguments"])
        if state["registry"] is not None:
            # A copy of its own: a shallow copy of a manager shares nothing that one of them may change.
            from copy import deepcopy

            self.registry = deepcopy(state["registry"])

    def _require_token(self) -> None:
        if not self._native.has_token:
            raise AuthError("there is no token for the Hub", "Set HF_TOKEN, or run `hf auth login`.")

    def _with(self, **changes: Any) -> _native.Native:
        """The native manager for one call that has other settings, with the same registry."""
        changes = {name: value for name, value in changes.items() if value is not None}
        if not changes:
            return self._current()
        arguments: Any = {**self._arguments, **changes}
        if changes.get("token") is True:
            self._require_token()
            arguments["token"] = self._arguments["token"]
        native = _native.Native(_with_token(arguments))
        if self._text:
            native = native.with_registry(self._text, self._origin)
        now = repr(self.registry)
        return native if now == self._read else native.with_changed(self._changed(), self._text, self._origin)

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
            self._native, self._known = self._native.with_changed(self._changed(), self._text, self._origin), now
        return self._native

    def _changed(self) -> str:
        """The registry as a text: JSON is YAML."""
        import json

        return json.dumps(self.registry, ensure_ascii=False, indent=0, default=str)

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


def _with_token(arguments: _native._Arguments) -> _native._Arguments:
    """As the core takes a token: the usual one is `None`, and none is an empty one."""
    token = arguments["token"]
    return {**arguments, "token": {True: None, False: ""}[token]} if isinstance(token, bool) else arguments


def which(model: str | None, format: str | None, quant: str | None) -> List[_native._Which]:
    if model is None and (format, quant) != (None, None):
        raise UsageError("`format` and `quant` need a model", "Name the model, or leave all three out for everything.")
    return [] if model is None else [(model, format, quant)]


def those(models: str | Sequence[str] | None, format: str | None, quant: str | None) -> List[_native._Which]:
    if models is None or isinstance(models, str):
        return which(models, format, quant)
    return [(model, format, quant) for model in models]

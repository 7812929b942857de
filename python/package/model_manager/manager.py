"""The manager: results with types, exceptions with kinds, progress, cancelling, asyncio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path

from . import _native
from ._log import log
from ._native import CancelToken
from .errors import UsageError

# As `typing` has it, which takes longer to import than this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Literal, TypedDict, overload

    from . import events
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
        Project,
        Removal,
        Repair,
        Space,
        Sync,
        Use,
        Verified,
        Why,
    )

    Backend = Literal["llama_cpp", "vllm"]
    LinkMode = Literal["auto", "symlink", "hardlink", "reflink", "copy"]
    VerifyMode = Literal["quick", "full", "rehash"]

    class Options(TypedDict, total=False):
        """What `Manager` takes by name only."""

        store: StrPath | None
        endpoint: str | Sequence[str] | None
        token: str | None
        offline: bool | None
        link: LinkMode | None
        connections: int | None
        limit_rate: int | None
        lock_timeout: float | None

__all__ = ["Manager", "ProgressFunction", "StrPath"]

StrPath = str | PathLike[str]
ProgressFunction = Callable[["events.Event"], object]


class Manager:
    """Downloads model files once into a content-addressed store and shows them as a tree of links.

    Wherever a model is named, a registry id (``tinyllama-1.1b-chat``), ``id:quant``, or a reference to the Hub
    (``owner/repo:Q4_K_M``, ``hf://owner/repo@revision/path``, a pasted address) will do. Failures raise a subclass of
    `ModelManagerError`. One object may be used by any number of threads, and by a process after `os.fork`.

    Args:
        models_dir: The visible tree. Default: ``MODEL_MANAGER_MODELS_DIR``, else ``models`` in the project's folder, which is
            the nearest one at or above the current directory that holds ``configs/models.yaml``, else that directory.
        config_path: The registry. Default: ``MODEL_MANAGER_CONFIG``, else the project's, else the built-in one.
        store: The store, which several projects may share. Default: ``MODEL_MANAGER_STORE``, else ``.blobs`` in models_dir.
        endpoint: The Hub, or the Hub and its mirrors in the order in which they are tried. Default: ``HF_ENDPOINT``.
        token: A Hub token. Default: ``HF_TOKEN`` and where ``hf auth login`` saves it. An empty one is none.
        offline: Send no request at all. Default: ``HF_HUB_OFFLINE``.
        link: How the tree shows files; ``auto`` takes the first that works.
        connections: Connections open at once.
        limit_rate: Most bytes per second.
        lock_timeout: Seconds to wait for another process; ``math.inf`` for ever.
    """

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
                "link": link,
                "connections": connections,
                "limit_rate": limit_rate,
                "lock_timeout": lock_timeout,
            }
        )
        for warning in self._native.warnings:
            log("warning", "%s", warning)
        self._origin = "the registry"
        self._load_registry()
        self._read = self._known

    def _load_registry(self) -> None:
        found = self._native.registry_text()
        if found is None:
            raise UsageError(f"there is no registry at {self.config_path}", "Name another file, or none for the built-in one.")
        text, self._origin = found
        self._native = self._native.with_registry(text, self._origin)
        self.registry = _native.read_yaml(text, self._origin)
        self._known = repr(self.registry)

    def _current(self) -> _native.Native:
        """The native manager, with what was changed in `registry`."""
        now = repr(self.registry)
        if now != self._known:
            # JSON is YAML.
            import json

            text = json.dumps(self.registry, ensure_ascii=False, indent=0, default=str)
            self._native, self._known = self._native.with_registry(text, self._origin), now
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

    # What can be done with models

    def plan(
        self,
        model: str,
        *,
        format: str | None = None,
        quant: str | None = None,
        revision: str | None = None,
        force: bool = False,
        mmproj: bool | str = False,
        cancel: CancelToken | None = None,
    ) -> Plan:
        """What `download` would do. Asks the Hub for no more than it needs, and changes nothing."""
        return self._current().plan(_watch(None, cancel), (model, format, quant), revision, force, _projector(mmproj))

    def download(
        self,
        model: str,
        *,
        format: str | None = None,
        quant: str | None = None,
        revision: str | None = None,
        force: bool = False,
        mmproj: bool | str = False,
        progress: ProgressFunction | None = None,
        cancel: CancelToken | None = None,
    ) -> Download:
        """Downloads a model, verified, into the store and shows it; what is present is used.

        Args:
            model: What to download.
            format: Default: gguf, or the model's only one.
            quant: Default: the only one, or q4_k_m, or the nearest to it.
            revision: Another commit, branch or tag than the registry's.
            force: Fetch again even what is present.
            mmproj: The projector of a multimodal GGUF model too: the best choice, or the one with this name or quantization.
            progress: Is told what happens (`model_manager.events`), in this thread. What it raises stops the download.
            cancel: Stops the download from another thread, which then raises `CancelledError`.

        Ctrl-C stops it as well, with `KeyboardInterrupt`. What arrived is kept in any case, and the next call goes on from
        there.
        """
        return self._current().download(_watch(progress, cancel), (model, format, quant), revision, force, _projector(mmproj))

    async def download_async(
        self,
        model: str,
        *,
        format: str | None = None,
        quant: str | None = None,
        revision: str | None = None,
        force: bool = False,
        mmproj: bool | str = False,
        progress: ProgressFunction | None = None,
    ) -> Download:
        """`download` for asyncio. `progress` is called in the event loop's thread; cancelling the task stops the download and
        returns when it has stopped."""

        def work(progress: ProgressFunction | None, cancel: CancelToken) -> Download:
            return self.download(
                model,
                format=format,
                quant=quant,
                revision=revision,
                force=force,
                mmproj=mmproj,
                progress=progress,
                cancel=cancel,
            )

        # asyncio takes longer to import than everything else here.
        from ._aio import in_thread

        return await in_thread(work, progress)

    def path(self, model: str, *, format: str | None = None, quant: str | None = None) -> Path:
        """The path of a model that is here, without the network. Raises `NotFoundError` if it is not."""
        return self._native.path((model, format, quant))

    def list(self, format: str | None = None) -> List[Listed]:
        """The models in the models directory, plain files dropped by hand included."""
        return self._usable().list(_watch(None, None), format)

    def info(
        self,
        model: str | None = None,
        *,
        format: str | None = None,
        quant: str | None = None,
        remote: bool = False,
        cancel: CancelToken | None = None,
    ) -> List[ModelInfo]:
        """What the registry knows, about one model or all; of one, what its files say about themselves too.

        With `remote`, and for a reference to the Hub, the headers of files that are not here are fetched for that.
        """
        which = _which(model, format, quant)
        if remote and not which:
            raise UsageError("`remote` needs a model", "Name the model whose files are to be asked.")
        return self._current().info(_watch(None, cancel), which[0] if which else None, remote)

    def verify(
        self,
        model: str | None = None,
        *,
        format: str | None = None,
        quant: str | None = None,
        mode: VerifyMode = "full",
        progress: ProgressFunction | None = None,
        cancel: CancelToken | None = None,
    ) -> List[Verified]:
        """Checks the files of a model, or of all, offline.

        ``quick`` trusts size and time stamp, ``full`` reads every byte, ``rehash`` recomputes SHA-256.
        """
        which = _which(model, format, quant)
        return self._current().verify(_watch(progress, cancel), which, mode)

    def repair(
        self,
        model: str | None = None,
        *,
        format: str | None = None,
        quant: str | None = None,
        mode: VerifyMode = "full",
        progress: ProgressFunction | None = None,
        cancel: CancelToken | None = None,
    ) -> Repair:
        """Checks the files of a model, or of all, as `verify` does, and mends what is damaged or missing.

        Only damaged ranges are fetched. What no source can give is put aside into the store's ``bad`` folder.
        """
        which = _which(model, format, quant)
        return self._current().repair(_watch(progress, cancel), which, mode)

    def remove(
        self,
        model: str,
        *,
        format: str | None = None,
        quant: str | None = None,
        keep_blobs: bool = False,
        dry_run: bool = False,
    ) -> Removal:
        """Removes a model from the tree, and from the store what nothing else uses. Files that are not ours stay."""
        which = (model, format, quant)
        return self._usable().remove(_watch(None, None), which, keep_blobs, dry_run)

    def use(
        self,
        model: str,
        backend: Backend,
        *,
        format: str | None = None,
        quant: str | None = None,
        file: StrPath | None = None,
        dry_run: bool = False,
    ) -> Use:
        """Writes the path of a model that is here into a backend's settings, as ``backend.model_path``, and nothing else.

        Args:
            model: What to use. Raises `NotFoundError` if it is not here.
            backend: ``llama_cpp`` takes a GGUF, ``vllm`` a folder such as that of safetensors.
            format: Default: what the backend loads.
            quant: Default: the only one, or q4_k_m, or the nearest to it.
            file: The settings. Default: ``configs/backend/<backend>.yaml`` in the project; it is made if it is missing.
            dry_run: Only tell.
        """
        which = (model, format, quant)
        return self._usable().use_model(_watch(None, None), which, backend, None if file is None else Path(file).absolute(), dry_run)

    # What can be done with the project

    if TYPE_CHECKING:

        @overload
        def lock(
            self,
            models: str | Sequence[str] | None = None,
            *,
            format: str | None = None,
            quant: str | None = None,
            update: bool = False,
            check: Literal[False] = False,
            dry_run: bool = False,
            progress: ProgressFunction | None = None,
            cancel: CancelToken | None = None,
        ) -> Lock: ...
        @overload
        def lock(
            self,
            models: str | Sequence[str] | None = None,
            *,
            format: str | None = None,
            quant: str | None = None,
            check: Literal[True],
            progress: ProgressFunction | None = None,
            cancel: CancelToken | None = None,
        ) -> LockCheck: ...

    def lock(
        self,
        models: str | Sequence[str] | None = None,
        *,
        format: str | None = None,
        quant: str | None = None,
        update: bool = False,
        check: bool = False,
        dry_run: bool = False,
        progress: ProgressFunction | None = None,
        cancel: CancelToken | None = None,
    ) -> Lock | LockCheck:
        """Pins the exact files of what this project uses in its lock file, which belongs under version control.

        All is locked or, if anything raises, nothing.

        Args:
            models: One model or several. Default: what is here, and what is locked already.
            format: Only this format of the models.
            quant: Only this quantization of the models.
            update: Ask the Hub what is new on the branches of locked models, and lock that.
            check: Only check that the lock file holds what is used and agrees with the registry; sends no request.
            dry_run: Only tell.
            progress: Is told what happens.
            cancel: Stops it from another thread.
        """
        which = _those(models, format, quant)
        native, watch = self._current(), _watch(progress, cancel)
        if not check:
            return native.lock(watch, which, update, dry_run)
        if update or dry_run:
            raise UsageError("`check` goes with neither `update` nor `dry_run`", "It changes nothing by itself.")
        return native.check_lock(watch, which)

    def sync(
        self,
        *,
        locked: bool = False,
        prune: bool = False,
        quick: bool = False,
        dry_run: bool = False,
        progress: ProgressFunction | None = None,
        cancel: CancelToken | None = None,
    ) -> Sync:
        """Makes the models exactly what the lock file says, from the store or any endpoint that has the bytes.

        Args:
            locked: Never change the lock file; one that the registry disagrees with is an error.
            prune: Also remove models of this project that are not locked.
            quick: Trust size and time stamp of what is here, rather than read every byte.
            dry_run: Only tell.
            progress: Is told what happens. What it raises stops the sync.
            cancel: Stops it from another thread. What arrived is kept.
        """
        return self._current().sync(_watch(progress, cancel), locked, prune, quick, dry_run)

    async def sync_async(
        self,
        *,
        locked: bool = False,
        prune: bool = False,
        quick: bool = False,
        dry_run: bool = False,
        progress: ProgressFunction | None = None,
    ) -> Sync:
        """`sync` for asyncio, as `download_async` is `download`."""

        def work(progress: ProgressFunction | None, cancel: CancelToken) -> Sync:
            return self.sync(locked=locked, prune=prune, quick=quick, dry_run=dry_run, progress=progress, cancel=cancel)

        from ._aio import in_thread

        return await in_thread(work, progress)

    def add(
        self,
        reference: str,
        *,
        id: str | None = None,
        format: str | None = None,
        quant: str | None = None,
        revision: str | None = None,
        description: str | None = None,
        update: bool = False,
        dry_run: bool = False,
        cancel: CancelToken | None = None,
    ) -> Addition:
        """Writes a model of the Hub into the registry file, with commit, sizes and hashes. `registry` has it then, too.

        The rest of the file stays as it is. Where the project has none yet, it is made from the built-in registry.

        Args:
            reference: ``owner/repo:Q4_K_M``, ``hf://owner/repo@revision/file``, or an address; with `update` also an id.
            id: The id in the registry. Default: the repository's name in lower case, without ``-GGUF``.
            format: Default: gguf, or safetensors where there is no GGUF file.
            quant: The quantization.
            revision: A branch, tag or commit; the commit it stands for is written. Default: main.
            description: What the model is, in a line.
            update: Pin an entry that is there anew.
            dry_run: Only tell.
            cancel: Stops it from another thread.
        """
        if update and description is not None:
            raise UsageError("`description` does not go with `update`", "An update changes revision, sizes and hashes only.")
        was_changed = repr(self.registry) != self._read
        added = self._current().add(
            _watch(None, cancel),
            (reference, format, quant),
            {"id": id, "revision": revision, "description": description, "update": update, "dry_run": dry_run},
        )
        if added.changed and not dry_run:
            self._take_over(added, was_changed)
        return added

    def _take_over(self, added: Addition, was_changed: bool) -> None:
        """Has the entry that was added in `registry`, and leaves other changes of it alone."""
        if added.created:
            self._native = self._native.with_config(added.path)
        if not was_changed:
            self._load_registry()
            self._read = self._known
        elif found := self._native.registry_text():
            self.registry.setdefault("models", {})[added.id] = _native.read_yaml(*found)["models"][added.id]

    def lint(self, *, online: bool = False, cancel: CancelToken | None = None) -> Lint:
        """Looks through the registry file for what is wrong, missing or odd. A text that is no registry is a finding.

        With `online`, every entry is held against what the Hub says now.
        """
        return self._native.lint(_watch(None, cancel), online)

    # What can be done with the store

    def init(self, *, shared: bool = False, group: str | None = None) -> Path:
        """Makes the store, or completes it, and returns its path. A download makes it as well.

        Args:
            shared: Let the group of its folder write it, whatever anybody's umask says.
            group: Give it to this group; needs `shared`.
        """
        if group is not None and not shared:
            raise UsageError("`group` needs `shared`", "Say `shared=True`, too.")
        return self._native.init(_watch(None, None), shared, group)

    def gc(
        self,
        *,
        grace: float = 3600,
        partials: float = 7 * 24 * 3600,
        only_this_host: bool = False,
        dry_run: bool = False,
        cancel: CancelToken | None = None,
    ) -> Collection:
        """Removes what no project needs from the store.

        Args:
            grace: Content that nothing needs stays for so many seconds.
            partials: Interrupted downloads that nobody touched for so many seconds go.
            only_this_host: For a store on a network file system: promises that no other host uses it now.
            dry_run: Only tell.
            cancel: Stops waiting for another process.
        """
        return self._usable().gc(_watch(None, cancel), grace, partials, only_this_host, dry_run)

    def why(self, what: StrPath) -> List[Why]:
        """Who keeps a blob. `what` is a SHA-256 or its first 8 or more digits, a path, or a model."""
        return self._usable().why(_watch(None, None), fspath(what))

    def df(self) -> Space:
        """Where the store's bytes are."""
        return self._usable().df(_watch(None, None))

    def doctor(
        self, *, full: bool = False, progress: ProgressFunction | None = None, cancel: CancelToken | None = None
    ) -> Diagnosis:
        """Looks for anything wrong with models and store; with `full`, reads every byte. Changes nothing."""
        return self._usable().doctor(_watch(progress, cancel), full)

    def projects(self) -> List[Project]:
        """The projects that share the store."""
        return self._usable().projects(_watch(None, None))

    def forget_project(self, project: StrPath, *, force: bool = False) -> Project:
        """Drops what the store keeps for a project: its path, or the first 8 or more digits of its uuid.

        Its content goes at the next `gc`. A project that is still there is refused, unless `force` is given: its models break.
        """
        return self._usable().forget_project(_watch(None, None), fspath(project), force)

    # Files

    def sha256(self, path: StrPath, *, cancel: CancelToken | None = None) -> str:
        """The SHA-256 of a file, in hex."""
        return self._native.sha256(_watch(None, cancel), path)


def _which(model: str | None, format: str | None, quant: str | None) -> List[_native._Which]:
    if model is None and (format, quant) != (None, None):
        raise UsageError("`format` and `quant` need a model", "Name the model, or leave all three out for everything.")
    return [] if model is None else [(model, format, quant)]


def _those(models: str | Sequence[str] | None, format: str | None, quant: str | None) -> List[_native._Which]:
    if models is None or isinstance(models, str):
        return _which(models, format, quant)
    return [(model, format, quant) for model in models]


def _projector(mmproj: bool | str) -> str | None:
    """As the core takes it: the empty name is the best choice."""
    if isinstance(mmproj, str):
        return mmproj or None
    return "" if mmproj else None


def _watch(progress: ProgressFunction | None, cancel: CancelToken | None) -> _native._Watch:
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

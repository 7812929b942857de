"""The manager: results with types, exceptions with kinds, progress, cancelling, asyncio."""

from __future__ import annotations

from collections.abc import Sequence
from os import fspath
from pathlib import Path

from ._arguments import checked
from ._base import StrPath, watch, which
from ._log import log
from ._native import CancelToken
from ._project import InProject
from ._request import request
from .errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, List, Literal

    from ._watch import Progress, ProgressFunction
    from .results import (
        Collection,
        Diagnosis,
        Download,
        Listed,
        ModelInfo,
        Plan,
        KnownStore,
        Project,
        Removal,
        Repair,
        Space,
        Verified,
        Why,
    )

    VerifyMode = Literal["quick", "full", "rehash"]

__all__ = ["Manager", "Progress", "ProgressFunction", "StrPath"]


class Manager(InProject):
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
        token: A Hub token. Default: ``HF_TOKEN`` and where ``hf auth login`` saves it. `False` is none, `True` requires one.
        no_local: Take nothing from your other stores. Default: ``MODEL_MANAGER_NO_LOCAL``.
        no_apps: Take nothing from other applications. Default: ``MODEL_MANAGER_NO_APPS``.
        borrow: Take tensors that similar files of the store have, in place of downloading them. Default: `True`.
        offline: Send no request at all. Default: ``HF_HUB_OFFLINE``.
        link: How the tree shows files; ``auto`` takes the first that works.
        connections: Connections open at once. Default: 8, and up to 16 while only small files come or each connection is slow.
        limit_rate: Most bytes per second.
        lock_timeout: Seconds that a call waits in all for other processes; 0 tries once, ``math.inf`` waits for ever.
    """

    # What can be done with models

    @checked
    def plan(
        self,
        model: str,
        *,
        format: str | None = None,
        quant: str | None = None,
        quantization: str | None = None,
        revision: str | None = None,
        sha256: str | None = None,
        force: bool = False,
        mmproj: bool | str = False,
        companions: Sequence[str] = (),
        subfolder: str | None = None,
        allow_patterns: str | Sequence[str] | None = None,
        ignore_patterns: str | Sequence[str] | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        force_download: bool = False,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> Plan:
        """What `download` would do. Asks the Hub for no more than it needs, and changes nothing."""
        what, wanted = request(
            model,
            format,
            quant,
            revision=revision,
            sha256=sha256,
            force=force or force_download,
            mmproj=mmproj,
            companions=companions,
            subfolder=subfolder,
            allow_patterns=allow_patterns,
            ignore_patterns=ignore_patterns,
        )
        native = self._with(offline=local_files_only or None, token=token)
        with watch(progress, cancel) as told:
            return native.plan(told, what, wanted)

    @checked
    def download(
        self,
        model: str,
        *,
        format: str | None = None,
        quant: str | None = None,
        quantization: str | None = None,
        revision: str | None = None,
        sha256: str | None = None,
        force: bool = False,
        mmproj: bool | str = False,
        companions: Sequence[str] = (),
        subfolder: str | None = None,
        allow_patterns: str | Sequence[str] | None = None,
        ignore_patterns: str | Sequence[str] | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        force_download: bool = False,
        max_workers: int | None = None,
        tqdm_class: Callable[..., Any] | None = None,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> Download:
        """Downloads a model, verified, into the store and shows it; what is present is used.

        Args:
            model: What to download.
            format: Default: gguf, or the model's only one.
            quant: Default: the only one, or q4_k_m, or the nearest to it.
            revision: Another commit, branch or tag than the registry's.
            sha256: The SHA-256 of a file that is named by its address on a web server, in hex; other bytes are refused.
            force: Fetch again even what is present.
            mmproj: The projector of a multimodal GGUF model too: the best choice, or the one with this name or quantization.
            companions: What else of the repository stands beside a GGUF model: ``draft``, ``tokenizer``, ``encoder`` or ``vae``, or
                ``draft=NAME`` for the one with this file name, label or quantization.
            subfolder: Of a repository, the folder that has the files.
            allow_patterns: Of a repository, only files that fit one of these (``*.json``, ``onnx/*``), beside those that are here
                already. Without a format they are shown as they stand in the repository, in the format ``files``.
            ignore_patterns: Of a repository, no file that fits one of these.
            local_files_only: Send no request, as ``offline`` of the manager.
            token: Another token than the manager's: `False` for none, `True` requires one.
            force_download: The name of `force` in the Hub's own library. So are `quantization` for `quant`, and the next two.
            max_workers: Connections open at once.
            tqdm_class: The class of the bars.
            progress: A function that is called with each event (`model_manager.events`), in this thread. What it raises stops the
                download. `True` shows bars and `False` none. Default: bars on a terminal and in a notebook, unless
                ``HF_HUB_DISABLE_PROGRESS_BARS`` is set. Without a function the log gets them, too.
            cancel: Stops the download from another thread, which then raises `CancelledError`.

        Returns:
            What was done. It can be used as the path itself: it is a `str`.

        Ctrl-C stops it as well, with `KeyboardInterrupt`. What arrived is kept in any case, and the next call resumes from
        there.
        """
        what, wanted = request(
            model,
            format,
            quant,
            revision=revision,
            sha256=sha256,
            force=force or force_download,
            mmproj=mmproj,
            companions=companions,
            subfolder=subfolder,
            allow_patterns=allow_patterns,
            ignore_patterns=ignore_patterns,
        )
        native = self._with(offline=local_files_only or None, token=token, connections=max_workers)
        with watch(progress, cancel, tqdm_class) as told:
            done = native.download(told, what, wanted)
        if not callable(progress):
            log("info", "%s is at %s", model, done.path)
        return done

    async def download_async(
        self,
        model: str,
        *,
        format: str | None = None,
        quant: str | None = None,
        quantization: str | None = None,
        revision: str | None = None,
        sha256: str | None = None,
        force: bool = False,
        mmproj: bool | str = False,
        companions: Sequence[str] = (),
        subfolder: str | None = None,
        allow_patterns: str | Sequence[str] | None = None,
        ignore_patterns: str | Sequence[str] | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        force_download: bool = False,
        max_workers: int | None = None,
        tqdm_class: Callable[..., Any] | None = None,
        progress: Progress = None,
    ) -> Download:
        """`download` for asyncio. `progress` is called in the event loop's thread; cancelling the task stops the download and
        returns when it has stopped."""

        def work(progress: Progress, cancel: CancelToken) -> Download:
            return self.download(
                model,
                format=format,
                quant=quant,
                quantization=quantization,
                revision=revision,
                sha256=sha256,
                force=force,
                mmproj=mmproj,
                companions=companions,
                subfolder=subfolder,
                allow_patterns=allow_patterns,
                ignore_patterns=ignore_patterns,
                local_files_only=local_files_only,
                token=token,
                force_download=force_download,
                max_workers=max_workers,
                tqdm_class=tqdm_class,
                progress=progress,
                cancel=cancel,
            )

        # asyncio takes longer to import than everything else here.
        from ._aio import in_thread

        return await in_thread(work, progress)

    @checked
    def path(self, model: str, *, format: str | None = None, quant: str | None = None, quantization: str | None = None) -> Path:
        """The path of a model that is here, without the network. Raises `NotFoundError` if it is not."""
        return self._native.path((model, format, quant))

    @checked
    def list(self, format: str | None = None) -> List[Listed]:
        """The models in the models directory, plain files dropped by hand included."""
        with watch(False, None) as told:
            return self._usable().list(told, format)

    @checked
    def info(
        self,
        model: str | None = None,
        *,
        format: str | None = None,
        quant: str | None = None,
        quantization: str | None = None,
        remote: bool = False,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> List[ModelInfo]:
        """What the registry knows, about one model or all; of one, what its files say about themselves too.

        With `remote`, and for a reference to the Hub, the headers of files that are not here are fetched for that.
        """
        chosen = which(model, format, quant)
        if remote and not chosen:
            raise UsageError("`remote` needs a model", "Name the model whose files are to be asked.")
        with watch(progress, cancel) as told:
            return self._current().info(told, chosen[0] if chosen else None, remote)

    @checked
    def verify(
        self,
        model: str | None = None,
        *,
        format: str | None = None,
        quant: str | None = None,
        quantization: str | None = None,
        mode: VerifyMode = "full",
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> List[Verified]:
        """Checks the files of a model, or of all, offline.

        ``quick`` trusts size and time stamp, ``full`` reads every byte, ``rehash`` recomputes SHA-256.
        """
        chosen = which(model, format, quant)
        with watch(progress, cancel) as told:
            return self._current().verify(told, chosen, mode)

    @checked
    def repair(
        self,
        model: str | None = None,
        *,
        format: str | None = None,
        quant: str | None = None,
        quantization: str | None = None,
        mode: VerifyMode = "full",
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> Repair:
        """Checks the files of a model, or of all, as `verify` does, and repairs what is damaged or missing.

        Only damaged ranges are fetched. What no source can give is put aside into the store's ``bad`` folder.
        """
        chosen = which(model, format, quant)
        with watch(progress, cancel) as told:
            return self._current().repair(told, chosen, mode)

    @checked
    def remove(
        self,
        model: str,
        *,
        format: str | None = None,
        quant: str | None = None,
        quantization: str | None = None,
        keep_blobs: bool = False,
        dry_run: bool = False,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> Removal:
        """Removes a model from the tree, and from the store what nothing else uses. Files that are not ours stay."""
        with watch(progress, cancel) as told:
            return self._usable().remove(told, (model, format, quant), keep_blobs, dry_run)

    # What can be done with the store

    @checked
    def init(
        self,
        *,
        shared: bool = False,
        group: str | None = None,
        user: bool | StrPath = False,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> Path:
        """Makes the store, or completes it, and returns its path. A download makes it as well.

        Args:
            shared: Let the group of its folder write it, whatever anybody's umask says.
            group: Give it to this group; needs `shared`.
            user: Make one store for all of your projects: in this folder, or with `True` in the usual one. Your own settings file
                names it from then on. Stores that projects have already stay; what they have is not downloaded again. This
                object keeps its own store: make another one after it.
            progress: Called with each event.
            cancel: Stops waiting for another process.
        """
        if group is not None and not shared:
            raise UsageError("`group` needs `shared`", "Say `shared=True`, too.")
        if user is False:
            with watch(progress, cancel) as told:
                return self._native.init(told, shared, group)
        if shared:
            raise UsageError("`user` makes a store for you alone, and `shared` one for a group", "Give only one of them.")
        if self._arguments["store"] is not None:
            raise UsageError("`store` of this manager and `user` both name a store", "Give only one of them.")
        with watch(progress, cancel) as told:
            return self._native.init_for_user(told, None if user is True else user)

    @checked
    def gc(
        self,
        *,
        grace: float = 3600,
        partials: float = 7 * 24 * 3600,
        only_this_host: bool = False,
        dry_run: bool = False,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> Collection:
        """Removes what no project needs from the store.

        Args:
            grace: Content that nothing needs stays for so many seconds.
            partials: Interrupted downloads that nobody touched for so many seconds go.
            only_this_host: For a store on a network file system: promises that no other host uses it now.
            dry_run: Only tell.
            progress: Called with each event.
            cancel: Stops waiting for another process.
        """
        with watch(progress, cancel) as told:
            return self._usable().gc(told, grace, partials, only_this_host, dry_run)

    @checked
    def why(self, what: StrPath) -> List[Why]:
        """Who keeps a blob. `what` is a SHA-256 or its first 8 or more digits, a path, or a model."""
        with watch(False, None) as told:
            return self._usable().why(told, fspath(what))

    @checked
    def df(self) -> Space:
        """Where the store's bytes are."""
        with watch(False, None) as told:
            return self._usable().df(told)

    @checked
    def doctor(
        self, *, full: bool = False, progress: Progress = None, cancel: CancelToken | None = None
    ) -> Diagnosis:
        """Looks for anything wrong with models and store; with `full`, reads every byte. Changes nothing."""
        with watch(progress, cancel) as told:
            return self._usable().doctor(told, full)

    @checked
    def projects(self) -> List[Project]:
        """The projects that share the store."""
        with watch(False, None) as told:
            return self._usable().projects(told)

    @checked
    def forget_project(self, project: StrPath, *, force: bool = False) -> Project:
        """Drops what the store keeps for a project: its path, or the first 8 or more digits of its uuid.

        Its content goes at the next `gc`. A project that is still there is refused, unless `force` is given: its models break.
        """
        with watch(False, None) as told:
            return self._usable().forget_project(told, fspath(project), force)

    @checked
    def stores(self) -> List[KnownStore]:
        """The stores that you used: what one of them has is not downloaded for another."""
        with watch(False, None) as told:
            return self._usable().stores(told)

    @checked
    def forget_store(self, store: StrPath) -> KnownStore:
        """Takes nothing from a store any more, until it is used again: its path, or the first 8 or more digits of its uuid.

        Its files stay.
        """
        with watch(False, None) as told:
            return self._usable().forget_store(told, fspath(store))

    # Files

    @checked
    def sha256(self, path: StrPath, *, progress: Progress = None, cancel: CancelToken | None = None) -> str:
        """The SHA-256 of a file, in hex."""
        with watch(progress, cancel) as told:
            return self._native.sha256(told, path)


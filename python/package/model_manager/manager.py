"""The manager: results with types, exceptions with kinds, progress, cancelling, asyncio."""

from __future__ import annotations

from collections.abc import Sequence
from os import fspath
from pathlib import Path

from ._base import ProgressFunction, StrPath, watch, which
from ._native import CancelToken
from ._project import InProject
from .errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Literal

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

__all__ = ["Manager", "ProgressFunction", "StrPath"]


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
        token: A Hub token. Default: ``HF_TOKEN`` and where ``hf auth login`` saves it. An empty one is none.
        no_local: Take nothing from your other stores. Default: ``MODEL_MANAGER_NO_LOCAL``.
        offline: Send no request at all. Default: ``HF_HUB_OFFLINE``.
        link: How the tree shows files; ``auto`` takes the first that works.
        connections: Connections open at once. Default: 8, and up to 16 while only small files come or each connection is slow.
        limit_rate: Most bytes per second.
        lock_timeout: Seconds that a call waits in all for other processes; 0 tries once, ``math.inf`` waits for ever.
    """

    # What can be done with models

    def plan(
        self,
        model: str,
        *,
        format: str | None = None,
        quant: str | None = None,
        revision: str | None = None,
        sha256: str | None = None,
        force: bool = False,
        mmproj: bool | str = False,
        companions: Sequence[str] = (),
        cancel: CancelToken | None = None,
    ) -> Plan:
        """What `download` would do. Asks the Hub for no more than it needs, and changes nothing."""
        which = (model, format, quant)
        return self._current().plan(watch(None, cancel), which, (revision, sha256), force, _beside(mmproj, companions))

    def download(
        self,
        model: str,
        *,
        format: str | None = None,
        quant: str | None = None,
        revision: str | None = None,
        sha256: str | None = None,
        force: bool = False,
        mmproj: bool | str = False,
        companions: Sequence[str] = (),
        progress: ProgressFunction | None = None,
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
            progress: Is told what happens (`model_manager.events`), in this thread. What it raises stops the download.
            cancel: Stops the download from another thread, which then raises `CancelledError`.

        Ctrl-C stops it as well, with `KeyboardInterrupt`. What arrived is kept in any case, and the next call goes on from
        there.
        """
        which = (model, format, quant)
        return self._current().download(watch(progress, cancel), which, (revision, sha256), force, _beside(mmproj, companions))

    async def download_async(
        self,
        model: str,
        *,
        format: str | None = None,
        quant: str | None = None,
        revision: str | None = None,
        sha256: str | None = None,
        force: bool = False,
        mmproj: bool | str = False,
        companions: Sequence[str] = (),
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
                sha256=sha256,
                force=force,
                mmproj=mmproj,
                companions=companions,
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
        return self._usable().list(watch(None, None), format)

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
        chosen = which(model, format, quant)
        if remote and not chosen:
            raise UsageError("`remote` needs a model", "Name the model whose files are to be asked.")
        return self._current().info(watch(None, cancel), chosen[0] if chosen else None, remote)

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
        chosen = which(model, format, quant)
        return self._current().verify(watch(progress, cancel), chosen, mode)

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
        """Checks the files of a model, or of all, as `verify` does, and repairs what is damaged or missing.

        Only damaged ranges are fetched. What no source can give is put aside into the store's ``bad`` folder.
        """
        chosen = which(model, format, quant)
        return self._current().repair(watch(progress, cancel), chosen, mode)

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
        return self._usable().remove(watch(None, None), (model, format, quant), keep_blobs, dry_run)

    # What can be done with the store

    def init(self, *, shared: bool = False, group: str | None = None) -> Path:
        """Makes the store, or completes it, and returns its path. A download makes it as well.

        Args:
            shared: Let the group of its folder write it, whatever anybody's umask says.
            group: Give it to this group; needs `shared`.
        """
        if group is not None and not shared:
            raise UsageError("`group` needs `shared`", "Say `shared=True`, too.")
        return self._native.init(watch(None, None), shared, group)

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
        return self._usable().gc(watch(None, cancel), grace, partials, only_this_host, dry_run)

    def why(self, what: StrPath) -> List[Why]:
        """Who keeps a blob. `what` is a SHA-256 or its first 8 or more digits, a path, or a model."""
        return self._usable().why(watch(None, None), fspath(what))

    def df(self) -> Space:
        """Where the store's bytes are."""
        return self._usable().df(watch(None, None))

    def doctor(
        self, *, full: bool = False, progress: ProgressFunction | None = None, cancel: CancelToken | None = None
    ) -> Diagnosis:
        """Looks for anything wrong with models and store; with `full`, reads every byte. Changes nothing."""
        return self._usable().doctor(watch(progress, cancel), full)

    def projects(self) -> List[Project]:
        """The projects that share the store."""
        return self._usable().projects(watch(None, None))

    def forget_project(self, project: StrPath, *, force: bool = False) -> Project:
        """Drops what the store keeps for a project: its path, or the first 8 or more digits of its uuid.

        Its content goes at the next `gc`. A project that is still there is refused, unless `force` is given: its models break.
        """
        return self._usable().forget_project(watch(None, None), fspath(project), force)

    def stores(self) -> List[KnownStore]:
        """The stores that you used: what one of them has is not downloaded for another."""
        return self._usable().stores(watch(None, None))

    def forget_store(self, store: StrPath) -> KnownStore:
        """Takes nothing from a store any more, until it is used again: its path, or the first 8 or more digits of its uuid.

        Its files stay.
        """
        return self._usable().forget_store(watch(None, None), fspath(store))

    # Files

    def sha256(self, path: StrPath, *, cancel: CancelToken | None = None) -> str:
        """The SHA-256 of a file, in hex."""
        return self._native.sha256(watch(None, cancel), path)


def _beside(mmproj: bool | str, companions: Sequence[str]) -> list[str]:
    """As the core takes it: each as its role, or with a name."""
    name = f"={mmproj}" if isinstance(mmproj, str) else ""
    return [*([f"mmproj{name}"] if mmproj else []), *companions]

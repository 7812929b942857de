"""What the manager does with a project: its lock file, its registry file, the settings of its backends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import _native
from ._arguments import checked
from ._base import Base, StrPath, those, watch
from ._native import CancelToken
from .errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, overload

    from ._watch import Progress
    from .results import Addition, Lint, Lock, LockCheck, Sync, Use

    Backend = Literal["llama_cpp", "vllm"]


class InProject(Base):
    """What can be done with a project."""

    if TYPE_CHECKING:

        @overload
        def lock(
            self,
            models: str | Sequence[str] | None = None,
            *,
            format: str | None = None,
            quant: str | None = None,
            quantization: str | None = None,
            update: bool = False,
            check: Literal[False] = False,
            dry_run: bool = False,
            progress: Progress = None,
            cancel: CancelToken | None = None,
        ) -> Lock: ...
        @overload
        def lock(
            self,
            models: str | Sequence[str] | None = None,
            *,
            format: str | None = None,
            quant: str | None = None,
            quantization: str | None = None,
            check: Literal[True],
            progress: Progress = None,
            cancel: CancelToken | None = None,
        ) -> LockCheck: ...

    @checked
    def lock(
        self,
        models: str | Sequence[str] | None = None,
        *,
        format: str | None = None,
        quant: str | None = None,
        quantization: str | None = None,
        update: bool = False,
        check: bool = False,
        dry_run: bool = False,
        progress: Progress = None,
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
            progress: Called with each event.
            cancel: Stops it from another thread.
        """
        chosen = those(models, format, quant)
        if check and (update or dry_run):
            raise UsageError("`check` goes with neither `update` nor `dry_run`", "It changes nothing by itself.")
        with watch(progress, cancel) as told:
            if check:
                return self._current().check_lock(told, chosen)
            return self._current().lock(told, chosen, update, dry_run)

    @checked
    def sync(
        self,
        *,
        locked: bool = False,
        prune: bool = False,
        quick: bool = False,
        dry_run: bool = False,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> Sync:
        """Makes the models exactly what the lock file says, from the store or any endpoint that has the bytes.

        Args:
            locked: Never change the lock file; one that the registry disagrees with is an error.
            prune: Also remove models of this project that are not locked.
            quick: Trust size and time stamp of what is here, rather than read every byte.
            dry_run: Only tell.
            progress: Called with each event. What it raises stops the sync.
            cancel: Stops it from another thread. What arrived is kept.
        """
        with watch(progress, cancel) as told:
            return self._current().sync(told, locked, prune, quick, dry_run)

    async def sync_async(
        self,
        *,
        locked: bool = False,
        prune: bool = False,
        quick: bool = False,
        dry_run: bool = False,
        progress: Progress = None,
    ) -> Sync:
        """`sync` for asyncio, as `download_async` is `download`."""

        def work(progress: Progress, cancel: CancelToken) -> Sync:
            return self.sync(locked=locked, prune=prune, quick=quick, dry_run=dry_run, progress=progress, cancel=cancel)

        from ._aio import in_thread

        return await in_thread(work, progress)

    @checked
    def add(
        self,
        reference: str,
        *,
        id: str | None = None,
        format: str | None = None,
        quant: str | None = None,
        quantization: str | None = None,
        revision: str | None = None,
        sha256: str | None = None,
        description: str | None = None,
        mmproj: bool | str | None = None,
        companions: Sequence[str] = (),
        update: bool = False,
        dry_run: bool = False,
        progress: Progress = None,
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
            sha256: The SHA-256 of a file that is named by its address on a web server, in hex, as `download` takes it.
            description: What the model is, in a line.
            mmproj: The projector beside a multimodal GGUF model: the best choice or none, or the one with this name or
                quantization. Default: the best choice, where the repository has one. An update keeps to what the entry has.
            companions: What else stands beside a GGUF model, as `download` takes it.
            update: Pin an entry that is there anew.
            dry_run: Only tell.
            progress: Called with each event.
            cancel: Stops it from another thread.
        """
        if update and description is not None:
            raise UsageError("`description` does not go with `update`", "An update changes revision, sizes and hashes only.")
        was_changed = repr(self.registry) != self._read
        addition: _native._Addition = {
            "id": id,
            "revision": revision,
            "sha256": sha256,
            "description": description,
            "mmproj": None if mmproj == "" else mmproj,
            "companions": list(companions),
            "update": update,
            "dry_run": dry_run,
        }
        with watch(progress, cancel) as told:
            added = self._current().add(told, (reference, format, quant), addition)
        if added.changed and not dry_run:
            self._take_over(added, was_changed)
        return added

    def _take_over(self, added: Addition, was_changed: bool) -> None:
        """Has the entry that was added in `registry`, and leaves other changes of it alone."""
        if added.created:
            self._native = self._native.with_config(added.registry)
        if not was_changed:
            self._load_registry()
            self._read = self._known
        elif found := self._native.registry_text():
            self.registry.setdefault("models", {})[added.model] = _native.read_yaml(*found)["models"][added.model]

    @checked
    def lint(self, *, online: bool = False, progress: Progress = None, cancel: CancelToken | None = None) -> Lint:
        """Looks through the registry file for what is wrong, missing or odd. A text that is no registry is a finding.

        With `online`, every entry is held against what the Hub says now.
        """
        with watch(progress, cancel) as told:
            return self._native.lint(told, online)

    @checked
    def use(
        self,
        model: str,
        backend: Backend,
        *,
        format: str | None = None,
        quant: str | None = None,
        quantization: str | None = None,
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
        settings = None if file is None else Path(file).absolute()
        with watch(False, None) as told:
            return self._usable().use_model(told, (model, format, quant), backend, settings, dry_run)

"""`hf_hub_download` and `snapshot_download` as the Hub's own library has them, over this store.

    from model_manager.hub import hf_hub_download, snapshot_download

They take what `huggingface_hub` 2.x takes, and return paths as `str`. Files are shown as they stand in the repository, in
``models/<owner>--<name>/files/<revision>/``; bytes that are in the store already, or in another store of yours, are not
fetched. As there, a branch is looked up at each call, and where the Hub cannot be reached, what is here is returned.

What differs:

- `cache_dir` and `local_dir` are refused: the store is that of the project (see `Manager`). `headers` and repositories of
  datasets, spaces and kernels are refused, too.
- `library_name`, `library_version`, `user_agent` and `etag_timeout` are taken and have no effect.
- Patterns that select nothing raise `EntryNotFoundError`.
- A branch has one folder, not one for each of its commits: after it moved, what is asked for again is replaced, and the rest
  stays as it is. Name a commit to have its files side by side.
- A folder also has the file ``.view.json``, the record of what is shown in it.
- Without the Hub, `snapshot_download` returns the folder with what is here of it.

Exceptions are those of `model_manager` and, where `huggingface_hub` is installed, of its classes of the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Literal, Sequence, TypeVar, overload

from ._arguments import patterns, require
from ._base import StrPath
from ._hub_errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    from_core,
)
from ._log import log
from .errors import ModelManagerError, NetworkError, NotFoundError
from .manager import Manager
from .results import Download, File, Plan

__all__ = [
    "DryRunFileInfo",
    "EntryNotFoundError",
    "GatedRepoError",
    "HFValidationError",
    "HfHubHTTPError",
    "LocalEntryNotFoundError",
    "LocalTokenNotFoundError",
    "RemoteEntryNotFoundError",
    "RepositoryNotFoundError",
    "RevisionNotFoundError",
    "hf_hub_download",
    "snapshot_download",
]

_FORMAT = "files"

T = TypeVar("T")


@dataclass(frozen=True)
class DryRunFileInfo:
    """What a download would do with a file."""

    commit_hash: str
    """The commit, where it is known."""
    file_size: int
    filename: str
    """Its path in the repository."""
    local_path: str
    """Where it would be."""
    is_cached: bool
    """Whether its bytes are here."""
    will_download: bool


@overload
def hf_hub_download(
    repo_id: str,
    filename: str,
    *,
    subfolder: str | None = None,
    repo_type: str | None = None,
    revision: str | None = None,
    library_name: str | None = None,
    library_version: str | None = None,
    cache_dir: StrPath | None = None,
    local_dir: StrPath | None = None,
    user_agent: dict[str, Any] | str | None = None,
    force_download: bool = False,
    etag_timeout: float = 10,
    token: bool | str | None = None,
    local_files_only: bool = False,
    headers: dict[str, str] | None = None,
    endpoint: str | None = None,
    tqdm_class: Callable[..., Any] | None = None,
    dry_run: Literal[False] = False,
) -> str: ...
@overload
def hf_hub_download(
    repo_id: str,
    filename: str,
    *,
    subfolder: str | None = None,
    repo_type: str | None = None,
    revision: str | None = None,
    library_name: str | None = None,
    library_version: str | None = None,
    cache_dir: StrPath | None = None,
    local_dir: StrPath | None = None,
    user_agent: dict[str, Any] | str | None = None,
    force_download: bool = False,
    etag_timeout: float = 10,
    token: bool | str | None = None,
    local_files_only: bool = False,
    headers: dict[str, str] | None = None,
    endpoint: str | None = None,
    tqdm_class: Callable[..., Any] | None = None,
    dry_run: Literal[True],
) -> DryRunFileInfo: ...
def hf_hub_download(
    repo_id: str,
    filename: str,
    *,
    subfolder: str | None = None,
    repo_type: str | None = None,
    revision: str | None = None,
    library_name: str | None = None,
    library_version: str | None = None,
    cache_dir: StrPath | None = None,
    local_dir: StrPath | None = None,
    user_agent: dict[str, Any] | str | None = None,
    force_download: bool = False,
    etag_timeout: float = 10,
    token: bool | str | None = None,
    local_files_only: bool = False,
    headers: dict[str, str] | None = None,
    endpoint: str | None = None,
    tqdm_class: Callable[..., Any] | None = None,
    dry_run: bool = False,
) -> str | DryRunFileInfo:
    """Downloads one file of a repository, if it is not here, and returns its path.

    Args:
        repo_id: ``owner/name``.
        filename: Its path in the repository.
        subfolder: A folder of the repository, in which `filename` is.
        repo_type: Only that of models.
        revision: A branch, tag or commit. Default: main.
        library_name: No effect.
        library_version: No effect.
        cache_dir: Refused.
        local_dir: Refused.
        user_agent: No effect.
        force_download: Fetch it again even if it is here.
        etag_timeout: No effect.
        token: A token; `True` requires the saved one, `False` sends none.
        local_files_only: Send no request.
        headers: Refused.
        endpoint: The Hub. Default: ``HF_ENDPOINT``.
        tqdm_class: The class of the bar.
        dry_run: Only tell.
    """
    call = _Call(repo_id, repo_type, revision, cache_dir, local_dir, force_download, token, local_files_only, headers, endpoint)
    require("filename", filename)
    if subfolder is not None:
        require("subfolder", subfolder)
    folder = (subfolder or "").strip("/")
    wanted = f"{folder}/{filename}" if folder else filename
    reference = f"hf://{repo_id}/{wanted}"
    if dry_run:
        return call.told(call.planned(reference), wanted)[0]
    done = call.made(reference, tqdm_class)
    return next(str(file.path) for file in done.files if file.file == wanted)


@overload
def snapshot_download(
    repo_id: str,
    *,
    repo_type: str | None = None,
    revision: str | None = None,
    cache_dir: StrPath | None = None,
    local_dir: StrPath | None = None,
    library_name: str | None = None,
    library_version: str | None = None,
    user_agent: dict[str, Any] | str | None = None,
    etag_timeout: float = 10,
    force_download: bool = False,
    token: bool | str | None = None,
    local_files_only: bool = False,
    allow_patterns: Sequence[str] | str | None = None,
    ignore_patterns: Sequence[str] | str | None = None,
    max_workers: int = 8,
    tqdm_class: Callable[..., Any] | None = None,
    headers: dict[str, str] | None = None,
    endpoint: str | None = None,
    dry_run: Literal[False] = False,
) -> str: ...
@overload
def snapshot_download(
    repo_id: str,
    *,
    repo_type: str | None = None,
    revision: str | None = None,
    cache_dir: StrPath | None = None,
    local_dir: StrPath | None = None,
    library_name: str | None = None,
    library_version: str | None = None,
    user_agent: dict[str, Any] | str | None = None,
    etag_timeout: float = 10,
    force_download: bool = False,
    token: bool | str | None = None,
    local_files_only: bool = False,
    allow_patterns: Sequence[str] | str | None = None,
    ignore_patterns: Sequence[str] | str | None = None,
    max_workers: int = 8,
    tqdm_class: Callable[..., Any] | None = None,
    headers: dict[str, str] | None = None,
    endpoint: str | None = None,
    dry_run: Literal[True],
) -> list[DryRunFileInfo]: ...
def snapshot_download(
    repo_id: str,
    *,
    repo_type: str | None = None,
    revision: str | None = None,
    cache_dir: StrPath | None = None,
    local_dir: StrPath | None = None,
    library_name: str | None = None,
    library_version: str | None = None,
    user_agent: dict[str, Any] | str | None = None,
    etag_timeout: float = 10,
    force_download: bool = False,
    token: bool | str | None = None,
    local_files_only: bool = False,
    allow_patterns: Sequence[str] | str | None = None,
    ignore_patterns: Sequence[str] | str | None = None,
    max_workers: int = 8,
    tqdm_class: Callable[..., Any] | None = None,
    headers: dict[str, str] | None = None,
    endpoint: str | None = None,
    dry_run: bool = False,
) -> str | list[DryRunFileInfo]:
    """Downloads the files of a repository, or those that patterns select, and returns their folder.

    Args:
        repo_id: ``owner/name``.
        repo_type: Only that of models.
        revision: A branch, tag or commit. Default: main.
        cache_dir: Refused.
        local_dir: Refused.
        library_name: No effect.
        library_version: No effect.
        user_agent: No effect.
        etag_timeout: No effect.
        force_download: Fetch again even what is here.
        token: A token; `True` requires the saved one, `False` sends none.
        local_files_only: Send no request.
        allow_patterns: Only files that fit one of these.
        ignore_patterns: No file that fits one of these.
        max_workers: Connections open at once. Default: as many as the settings say.
        tqdm_class: The class of the bars.
        headers: Refused.
        endpoint: The Hub. Default: ``HF_ENDPOINT``.
        dry_run: Only tell.
    """
    call = _Call(repo_id, repo_type, revision, cache_dir, local_dir, force_download, token, local_files_only, headers, endpoint)
    for name, value in (("allow_patterns", allow_patterns), ("ignore_patterns", ignore_patterns)):
        if value is not None:
            require(name, value)
    call.include, call.exclude = patterns(allow_patterns), patterns(ignore_patterns)
    require("max_workers", max_workers)
    if max_workers != 8:
        call.connections = max_workers
    if dry_run:
        return call.told(call.planned(f"hf://{repo_id}"))
    return str(call.made(f"hf://{repo_id}", tqdm_class))


class _Call:
    """One call of either function."""

    def __init__(
        self,
        repo_id: str,
        repo_type: str | None,
        revision: str | None,
        cache_dir: StrPath | None,
        local_dir: StrPath | None,
        force_download: bool,
        token: bool | str | None,
        local_files_only: bool,
        headers: dict[str, str] | None,
        endpoint: str | None,
    ) -> None:
        for name, value in {"revision": revision, "token": token, "endpoint": endpoint}.items():
            if value is not None:
                require(name, value)
        require("repo_id", repo_id)
        require("force_download", force_download)
        require("local_files_only", local_files_only)
        if repo_type not in (None, "model"):
            raise HFValidationError(f"only repositories of models are known here, not `repo_type={repo_type!r}`")
        places = {"cache_dir": cache_dir, "local_dir": local_dir}
        for name in [name for name, value in places.items() if value is not None]:
            hint = "Leave it out and use the path that is returned, or set `store` or `models_dir` for the project."
            raise HFValidationError(f"`{name}` cannot be honoured: files are in the project's store and models directory", hint)
        if headers:
            raise HFValidationError("`headers` cannot be honoured", "Give a token as `token`.")
        if repo_id.count("/") != 1 or any(mark in repo_id for mark in "@: \\"):
            raise HFValidationError(f"`{repo_id}` is no repository", "Name it as `owner/name`.")
        self.revision = revision or "main"
        self.force = force_download
        self.token = token
        self.local_files_only = local_files_only
        self.endpoint = endpoint
        self.connections: int | None = None
        self.include: list[str] = []
        self.exclude: list[str] = []

    def made(self, reference: str, tqdm_class: Callable[..., Any] | None) -> Download:
        """Downloads it, or finds it here where the Hub cannot be reached."""

        def download(manager: Manager, local: bool) -> Download:
            return manager.download(
                reference,
                format=_FORMAT,
                revision=self.revision,
                force=self.force and not local,
                allow_patterns=self.include,
                ignore_patterns=self.exclude,
                local_files_only=local,
                max_workers=self.connections,
                tqdm_class=tqdm_class,
            )

        return self._tried(download)

    def planned(self, reference: str) -> Plan:
        """What that would do."""

        def plan(manager: Manager, local: bool) -> Plan:
            return manager.plan(
                reference,
                format=_FORMAT,
                revision=self.revision,
                force=self.force and not local,
                allow_patterns=self.include,
                ignore_patterns=self.exclude,
                local_files_only=local,
            )

        return self._tried(plan)

    def told(self, plan: Plan, only: str | None = None) -> list[DryRunFileInfo]:
        """A plan in the words of the Hub's own library."""

        def info(file: File) -> DryRunFileInfo:
            fetch = file.download_bytes > 0
            commit = plan.origin.commit or ""
            return DryRunFileInfo(commit, file.size or 0, file.file, str(file.path), not fetch, fetch)

        return [info(file) for file in plan.files if only in (None, file.file)]

    def _tried(self, work: Callable[[Manager, bool], T]) -> T:
        try:
            manager = Manager(endpoint=self.endpoint, token=self.token)
            try:
                return work(manager, self.local_files_only)
            except NetworkError as error:
                if self.local_files_only or self.force:
                    raise
                try:
                    found = work(manager, True)
                except (NetworkError, NotFoundError):
                    raise error from None
                log("warning", "the Hub was not asked, and what is here is used: %s", error)
                return found
        except ModelManagerError as error:
            raise from_core(error) from error

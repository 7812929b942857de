"""What most programs need, in one line each."""

from __future__ import annotations

from .manager import Manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from ._base import LinkMode, StrPath
    from ._native import CancelToken
    from ._watch import Progress
    from .results import Download

__all__ = ["download", "path"]


def download(
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
    models_dir: StrPath | None = None,
    config_path: StrPath | None = None,
    store: StrPath | None = None,
    endpoint: str | Sequence[str] | None = None,
    link: LinkMode | None = None,
) -> Download:
    """Downloads a model with the settings of this project, and returns what can be used as its path.

    >>> Llama(model_path=model_manager.download("tinyllama-1.1b-chat"))

    The last five are those of `Manager`, the others those of `Manager.download`.
    """
    manager = Manager(models_dir, config_path, store=store, endpoint=endpoint, link=link)
    return manager.download(
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


def path(
    model: str,
    *,
    format: str | None = None,
    quant: str | None = None,
    quantization: str | None = None,
    models_dir: StrPath | None = None,
    config_path: StrPath | None = None,
    store: StrPath | None = None,
) -> Path:
    """The path of a model that is here, without the network. Raises `NotFoundError` if it is not.

    >>> model_manager.path("tinyllama-1.1b-chat")
    """
    manager = Manager(models_dir, config_path, store=store)
    return manager.path(model, format=format, quant=quant, quantization=quantization)

"""What a download is asked for, in the words of this package and of the Hub's own library, as the core takes it."""

from __future__ import annotations

from ._arguments import patterns
from .errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from . import _native


def beside(mmproj: bool | str, companions: Sequence[str]) -> list[str]:
    """Companions as the core takes them: each as its role, or with a name."""
    name = f"={mmproj}" if isinstance(mmproj, str) else ""
    return [*([f"mmproj{name}"] if mmproj else []), *companions]


def request(
    model: str,
    format: str | None,
    quant: str | None,
    *,
    revision: str | None,
    sha256: str | None,
    force: bool,
    mmproj: bool | str,
    companions: Sequence[str],
    subfolder: str | None,
    allow_patterns: str | Sequence[str] | None,
    ignore_patterns: str | Sequence[str] | None,
) -> tuple[_native._Which, _native._Wanted]:
    """Which model, and what else is said of the download."""
    include, exclude = patterns(allow_patterns), patterns(ignore_patterns)
    folder = (subfolder or "").strip("/")
    if folder and (include or exclude):
        text = "`subfolder` goes with no patterns, which begin at the root of the repository"
        raise UsageError(text, f'Write the folder into them: `allow_patterns=["{folder}/*.json"]`.')
    if folder and format in (None, "gguf"):
        model, quant = _in_folder(model, folder, quant)
    elif folder:
        include = [f"{folder}/*"]
    wanted: _native._Wanted = {
        "revision": revision,
        "sha256": sha256,
        "force": force,
        "companions": beside(mmproj, companions),
        "include": include,
        "exclude": exclude,
    }
    return (model, format, quant), wanted


def _in_folder(model: str, folder: str, quant: str | None) -> tuple[str, str | None]:
    """A repository's folder as a reference, and the quantization that was named."""
    name = model.removeprefix("hf://").removeprefix("models/")
    repo, _, label = name.partition(":")
    if "://" in name or repo.count("/") != 1:
        raise UsageError(f"`{model}` is not named as a repository, and only these have a `subfolder`", "Name it as `owner/repo`.")
    if label and quant and label.lower() != quant.lower():
        raise UsageError(f"two quantizations are given: `{label}` in the name and `{quant}` beside it", "Give only one.")
    return f"hf://{repo}/{folder}", quant or label or None

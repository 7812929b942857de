"""`ModelManager`: the class that the Agent Arena guide describes, with the `Manager` under it."""

from __future__ import annotations

from pathlib import Path

from . import _native
from ._arguments import checked, one_quant
from ._log import log
from .errors import ModelManagerError, NotFoundError
from .manager import Manager, StrPath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._watch import Progress

__all__ = ["ModelManager"]


class ModelManager(Manager):
    """Downloads, lists, verifies and removes models; failures are logged and answered with `None` or `False`.

    The methods of `Manager` are here too. They raise, and tell more.

    >>> manager = ModelManager()
    >>> path = manager.download_model("tinyllama-1.1b-chat", quantization="q4_k_m")
    """

    def _make(self, arguments: _native._Arguments) -> None:
        super()._make(arguments)
        self.models_dir.mkdir(parents=True, exist_ok=True)

    def _load_registry(self) -> None:
        self.registry = {"models": {}}
        self._known = repr(self.registry)
        found = self._native.registry_text()
        if found is None:
            log("warning", "there is no registry at %s", self.config_path)
            return
        self._text, self._origin = found
        try:
            self.registry = _native.read_yaml(self._text, self._origin) or self.registry
            self._native = self._native.with_registry(self._text, self._origin)
            self._known = repr(self.registry)
        except ModelManagerError as error:
            _failed("the registry cannot be used", error)

    @checked
    def download_model(
        self,
        model_id: str,
        format: str = "gguf",
        quantization: str | None = None,
        force: bool = False,
        *,
        quant: str | None = None,
        progress: Progress = None,
    ) -> Path | None:
        """Downloads a model and returns its path in the models directory, or `None` if that failed.

        A model that is present is not fetched again. Without a quantization it is q4_k_m, or the nearest to it.
        """
        try:
            quant = one_quant(quant, quantization)
            return self.download(model_id, format=format, quant=quant, force=force, progress=progress).path
        except ModelManagerError as error:
            _failed(f"cannot download {model_id}", error)
            return None

    @checked
    def list_models(self, format_filter: str | None = None) -> list[dict[str, Any]]:
        """The files in the models directory: model, format, quantization, file, path, size_bytes, size_gb (of 1024**3).

        Files that were put there by hand are listed too.
        """
        files = []
        for listed in self.list(format_filter):
            for file in listed.files:
                try:
                    size = file.path.stat().st_size
                except OSError:
                    # A link that leads nowhere is no model.
                    continue
                files.append(
                    {
                        "model": listed.model,
                        "format": listed.format,
                        "quantization": listed.quant,
                        "file": file.file,
                        "path": str(file.path),
                        "size_bytes": size,
                        "size_gb": size / 1024**3,
                    }
                )
        return files

    @checked
    def get_model_path(
        self, model_id: str, format: str = "gguf", quantization: str | None = None, *, quant: str | None = None
    ) -> Path | None:
        """The path of a model that is here, or `None`."""
        try:
            return self.path(model_id, format=format, quant=one_quant(quant, quantization))
        except NotFoundError as error:
            log("debug", "%s", error)
        except ModelManagerError as error:
            _failed(f"cannot tell the path of {model_id}", error)
        return None

    @checked
    def verify_model(self, model_path: StrPath | None, expected_sha256: str | None = None) -> bool:
        """Whether a file is there and, where a hash is given, has it. `verify` tells more."""
        if model_path is None or not Path(model_path).exists():
            log("error", "there is no model file at %s", model_path)
            return False
        if not expected_sha256:
            log("info", "no hash was given to verify %s with", model_path)
            return True
        try:
            actual = self.sha256(model_path)
        except ModelManagerError as error:
            _failed(f"cannot verify {model_path}", error)
            return False
        if actual != expected_sha256.strip().lower():
            log("error", "%s is damaged: expected sha256 %s, got %s", model_path, expected_sha256, actual)
            return False
        return True

    @checked
    def remove_model(
        self, model_id: str, format: str | None = None, quantization: str | None = None, *, quant: str | None = None
    ) -> bool:
        """Removes a model, or only a format or quantization of it. `False` if there was none.

        As with `remove`, everything that `list_models` shows for it goes, files that were put there by hand included. Bytes
        that another project uses stay in the store.
        """
        try:
            removal = self.remove(model_id, format=format, quant=one_quant(quant, quantization))
        except ModelManagerError as error:
            _failed(f"cannot remove {model_id}", error)
            return False
        return bool(removal.models or removal.removed or removal.totals.freed_bytes)

    def _get_model_dir(self, model_id: str, format: str, quantization: str | None = None) -> Path:
        return self.models_dir / model_id / format / (quantization or "")

    def _calculate_sha256(self, file_path: StrPath) -> str:
        return self.sha256(file_path)


def _failed(what: str, error: Exception) -> None:
    hint = getattr(error, "hint", None)
    log("error", "%s: %s%s", what, error, f" ({hint})" if hint else "")

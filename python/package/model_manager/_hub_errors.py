"""Exceptions of `model_manager.hub`: each is one of this package, and, where `huggingface_hub` is installed, also the one of the
same name there, so that code which catches either keeps working."""

from __future__ import annotations

from .errors import AuthError, ModelManagerError, NetworkError, NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "EntryNotFoundError",
    "GatedRepoError",
    "HFValidationError",
    "HfHubHTTPError",
    "LocalEntryNotFoundError",
    "LocalTokenNotFoundError",
    "RemoteEntryNotFoundError",
    "RepositoryNotFoundError",
    "RevisionNotFoundError",
    "from_core",
]

if TYPE_CHECKING:

    class HfHubHTTPError(ModelManagerError, OSError):
        """The Hub, or the way to it, failed."""

    class RepositoryNotFoundError(NotFoundError, HfHubHTTPError):
        """There is no such repository, or it is private."""

    class GatedRepoError(AuthError, RepositoryNotFoundError):
        """Access to the repository was not granted."""

    class RevisionNotFoundError(NotFoundError, HfHubHTTPError):
        """The repository has no such revision."""

    class EntryNotFoundError(NotFoundError):
        """The repository has no such file, or it is not here."""

    class RemoteEntryNotFoundError(EntryNotFoundError, HfHubHTTPError):
        """The repository has no such file."""

    class LocalEntryNotFoundError(EntryNotFoundError, NetworkError, FileNotFoundError):
        """The file is not here, and the Hub may not or cannot be asked."""

    class LocalTokenNotFoundError(AuthError, OSError):
        """A token is required, and there is none."""

    class HFValidationError(UsageError, ValueError):
        """A name that can be none on the Hub, or an argument that cannot be honoured."""

else:
    try:
        import huggingface_hub.errors as _theirs
    except ImportError:
        _theirs = None

    def _make(name: str, doc: str, *bases: type, otherwise: tuple[type, ...] = ()) -> type:
        theirs = getattr(_theirs, name, None)
        bases = (*bases, *([theirs] if theirs else otherwise))
        # An answer of the Hub, which theirs have: here the message says all. Some of their bases have properties of these names.
        fields = {"__doc__": doc, "__module__": __name__, "response": None, "server_message": None, "request_id": None}
        # Theirs would be made again from the answer.
        fields["__reduce_ex__"] = lambda self, protocol: self.__reduce__()
        return type(name, bases, fields)

    HfHubHTTPError = _make(
        "HfHubHTTPError", "The Hub, or the way to it, failed.", ModelManagerError, otherwise=(OSError,)
    )
    RepositoryNotFoundError = _make(
        "RepositoryNotFoundError", "There is no such repository, or it is private.", NotFoundError, HfHubHTTPError
    )
    GatedRepoError = _make(
        "GatedRepoError", "Access to the repository was not granted.", AuthError, RepositoryNotFoundError
    )
    RevisionNotFoundError = _make(
        "RevisionNotFoundError", "The repository has no such revision.", NotFoundError, HfHubHTTPError
    )
    EntryNotFoundError = _make(
        "EntryNotFoundError", "The repository has no such file, or it is not here.", NotFoundError
    )
    RemoteEntryNotFoundError = _make(
        "RemoteEntryNotFoundError", "The repository has no such file.", EntryNotFoundError, HfHubHTTPError
    )
    LocalEntryNotFoundError = _make(
        "LocalEntryNotFoundError",
        "The file is not here, and the Hub may not or cannot be asked.",
        EntryNotFoundError,
        NetworkError,
        otherwise=(FileNotFoundError,),
    )
    LocalTokenNotFoundError = _make(
        "LocalTokenNotFoundError", "A token is required, and there is none.", AuthError, otherwise=(OSError,)
    )
    HFValidationError = _make(
        "HFValidationError",
        "A name that can be none on the Hub, or an argument that cannot be honoured.",
        UsageError,
        otherwise=(ValueError,),
    )

_NO_REPOSITORY = {"check_repository", "check_name_and_token", "check_reference"}
_NO_REVISION = {"see_branches"}
_NO_ACCESS = {"request_access", "await_access"}


def from_core(error: ModelManagerError) -> ModelManagerError:
    """The exception for one of this package."""
    kinds = set(error._hint_kinds)
    found: Any = None
    if kinds & _NO_ACCESS:
        found = GatedRepoError
    elif kinds & _NO_REPOSITORY:
        found = RepositoryNotFoundError
    elif kinds & _NO_REVISION:
        found = RevisionNotFoundError
    elif isinstance(error, NotFoundError):
        found = RemoteEntryNotFoundError
    elif isinstance(error, NetworkError):
        found = LocalEntryNotFoundError
    elif isinstance(error, UsageError):
        found = HFValidationError
    elif type(error) is AuthError:
        found = LocalTokenNotFoundError if not kinds else GatedRepoError
    return error if found is None else found(error.message, error.hint)

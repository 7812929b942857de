"""Arguments of public methods: one of a wrong type is refused by name, before anything is done."""

from __future__ import annotations

from functools import wraps
from os import PathLike

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

_LONGEST = 80
"""Characters of a refused value that a message shows."""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_path(value: object) -> bool:
    return isinstance(value, (str, PathLike)) and not isinstance(value, bytes)


def _are_texts(value: object) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(one, str) for one in value)


TEXT = ("a str", lambda value: isinstance(value, str))
SWITCH = ("a bool", lambda value: isinstance(value, bool))
PATH = ("a str or a path", _is_path)
NUMBER = ("a number", _is_number)
COUNT = ("an int", _is_count)
TEXTS = ("a list of str", _are_texts)
ONE_OR_MORE = ("a str or a list of str", lambda value: isinstance(value, str) or _are_texts(value))
SWITCH_OR_TEXT = ("a bool or a str", lambda value: isinstance(value, (bool, str)))
SWITCH_OR_PATH = ("a bool, a str or a path", lambda value: isinstance(value, bool) or _is_path(value))
PROGRESS = ("a function or a bool", lambda value: isinstance(value, bool) or callable(value))
FUNCTION = ("a class", callable)

_KINDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        (
            "backend description format format_filter group id link mode model model_id quant quantization reference repo_id filename"
            " revision sha256 subfolder expected_sha256"
        ).split(),
        TEXT,
    ),
    **dict.fromkeys(
        (
            "borrow check dry_run force force_download full keep_blobs local_files_only locked no_apps no_local offline online only_this_host"
            " prune quick remote shared update"
        ).split(),
        SWITCH,
    ),
    **dict.fromkeys("config_path file models_dir path project store what cache_dir local_dir".split(), PATH),
    **dict.fromkeys("etag_timeout grace lock_timeout partials".split(), NUMBER),
    **dict.fromkeys("connections limit_rate max_workers".split(), COUNT),
    **dict.fromkeys("allow_patterns ignore_patterns models endpoint".split(), ONE_OR_MORE),
    "companions": TEXTS,
    # Nothing, as the old tool answers for a model that is not here, is a model that is not good.
    "model_path": (PATH[0], lambda value: value is None or _is_path(value)),
    "mmproj": SWITCH_OR_TEXT,
    "token": SWITCH_OR_TEXT,
    "user": SWITCH_OR_PATH,
    "progress": PROGRESS,
    "tqdm_class": FUNCTION,
}
"""What an argument of this name is, wherever it stands."""


def require(name: str, value: object) -> None:
    """Refuses a value that no argument of this name can have."""
    kind = _KINDS.get(name)
    if kind is not None and not kind[1](value):
        raise wrong_type(name, kind[0], value)


def wrong_type(name: str, expected: str, value: object) -> TypeError:
    """What is said of a value of a wrong type."""
    shown = repr(value)
    if len(shown) > _LONGEST:
        shown = shown[: _LONGEST - 1] + "…"
    # What stands where a token belongs may be one.
    end = "" if name == "token" else f": {shown}"
    return TypeError(f"`{name}` must be {expected}, not {type(value).__name__}{end}")


def one_quant(quant: str | None, quantization: str | None) -> str | None:
    """The one value of the two spellings."""
    return _one("quant", quant, "quantization", quantization)


def _one(name: str, value: str | None, other: str, its: str | None) -> str | None:
    if value is not None and its is not None and value.strip().lower() != its.strip().lower():
        raise TypeError(f"`{name}` and `{other}` are one argument, and differ: {value!r} and {its!r}")
    return its if value is None else value


def checked(function: F) -> F:
    """A method that refuses arguments of a wrong type by name. `None` passes where it is the default.

    Of one that has `quant` and `quantization`, the body gets the one value as `quant`.
    """
    code = function.__code__
    names = code.co_varnames[1 : code.co_argcount]
    first = len(names) - len(function.__defaults__ or ())
    defaults = dict(zip(names[first:], function.__defaults__ or ())) | (function.__kwdefaults__ or {})
    has_both = {"quant", "quantization"} <= set(function.__kwdefaults__ or ())

    @wraps(function)
    def call(self: Any, *args: Any, **named: Any) -> Any:
        for name, value in (*zip(names, args), *named.items()):
            if value is not None or defaults.get(name, ...) is not None:
                require(name, value)
        if has_both and named.get("quantization") is not None:
            named["quant"] = one_quant(named.get("quant"), named.pop("quantization"))
        return function(self, *args, **named)

    return call  # type: ignore[return-value]


def patterns(one_or_more: str | Sequence[str] | None) -> list[str]:
    """Patterns as a list, as the Hub's own library takes them."""
    return [one_or_more] if isinstance(one_or_more, str) else list(one_or_more or ())

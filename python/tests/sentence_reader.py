"""Runs the code of sentence-transformers that reads a model's modules, without torch: what it is to open must be there.

Real are its loop over ``modules.json``, its look-up of files and its modules Pooling, Dense and Normalize. In the place of torch
and of all else that these files import stand names that do nothing. The module Transformer, whose own loading is torch's, is
stood for by one that gives its folder to transformers.
"""

from __future__ import annotations

import abc
import importlib
import importlib.abc
import importlib.machinery
import json
import sys
import types
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

NAME = "sentence_transformers"
# Imported as they are; of the packages only their folders.
READ = {f"{NAME}.{name}" for name in ("base.model", "base.modules.module", "base.modules.dense", "base.modules.normalize")}
READ |= {f"{NAME}.util.{name}" for name in ("file_io", "misc", "decorators", "environment")}
READ |= {f"{NAME}.sentence_transformer.modules.pooling"}
PACKAGES = {NAME, *(f"{NAME}.{name}" for name in ("base", "base.modules", "util", "sentence_transformer"))}
PACKAGES |= {f"{NAME}.sentence_transformer.modules"}


class _Anything(abc.ABCMeta):
    """Classes that have every name, for what is only inherited from or mentioned in a type."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _Anything(name, (Nothing,), {})

    def __or__(cls, _: Any) -> Any:
        return cls

    __ror__ = __or__

    def __getitem__(cls, _: Any) -> Any:
        return cls

    def __subclasscheck__(cls, other: type) -> bool:
        stands = Nothing in cls.__bases__ and isinstance(other, _Anything)
        return stands or super().__subclasscheck__(other)


class Nothing(metaclass=_Anything):
    """Does nothing, as a module, a function or a decorator."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *arguments: Any, **_: Any) -> Any:
        return arguments[0] if arguments and callable(arguments[0]) else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return Nothing()


class _Stand(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (Nothing,), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds what stands for torch and for the files that are not read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        first = name.split(".")[0]
        if name in READ or first not in (NAME, "torch", "tqdm"):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = _Stand(spec.name)
        below = Path(*spec.name.split(".")[1:])
        module.__path__ = [str(self._folder / below)] if spec.name in PACKAGES else []
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def read(folder: str) -> dict[str, Any]:
    """The modules of a model as the reader of sentence-transformers makes them."""
    import importlib.metadata
    import importlib.util

    import transformers
    from safetensors.numpy import load_file

    found = importlib.util.find_spec(NAME)
    assert found is not None and found.submodule_search_locations
    # Before anything stands for torch, which transformers would then take for installed.
    configs, tokenizers = transformers.AutoConfig, transformers.AutoTokenizer
    transformers.PreTrainedModel = Nothing
    sys.meta_path.insert(0, _Finder(Path(found.submodule_search_locations[0])))
    sys.modules["safetensors.torch"] = _Stand("safetensors.torch")

    def member(module: str, name: str) -> Any:
        return getattr(importlib.import_module(f"{NAME}.{module}"), name)

    package = importlib.import_module(NAME)
    package.__version__ = importlib.metadata.version("sentence-transformers")  # type: ignore[attr-defined]
    util: Any = importlib.import_module(f"{NAME}.util")
    for module, names in {
        "file_io": ("load_file_path", "load_dir_path"),
        "misc": ("import_from_string", "fullname", "import_module_class"),
        "environment": ("check_version_requirements",),
    }.items():
        for name in names:
            setattr(util, name, member(f"util.{module}", name))
    base, loaded = member("base.model", "BaseModel"), importlib.import_module(f"{NAME}.base.modules.module")
    shapes: dict[str, Any] = {}

    def weights(model: Any, path: str, **_: Any) -> tuple[list[str], list[str]]:
        shapes[str(Path(path).relative_to(folder))] = {name: list(tensor.shape) for name, tensor in load_file(path).items()}
        return [], []

    loaded.load_safetensors_model = weights  # type: ignore[attr-defined]

    class Transformer(loaded.Module):  # type: ignore[misc, name-defined]
        @classmethod
        def load(cls, model_name_or_path: str, subfolder: str = "", **_: Any) -> Any:
            place = Path(model_name_or_path, subfolder)
            shapes["sentence_bert_config.json"] = cls.load_config(model_name_or_path, subfolder, "sentence_bert_config.json")
            shapes["type"] = configs.from_pretrained(place).model_type
            shapes["tokens"] = len(tokenizers.from_pretrained(place)("one link")["input_ids"])
            return Nothing()

    modules = {
        "Transformer": Transformer,
        "Pooling": member("sentence_transformer.modules.pooling", "Pooling"),
        "Dense": member("base.modules.dense", "Dense"),
        "Normalize": member("base.modules.normalize", "Normalize"),
    }
    config: dict[str, Any] = {}
    reader = types.SimpleNamespace(
        backend="torch",
        _module_classes={f"{NAME}.models.{name}": module for name, module in modules.items()},
        _get_module_init_defaults=lambda _: None,
        _parse_model_config=config.update,
        _model_card_text=None,
    )
    reader._load_module_class_from_ref = partial(base._load_module_class_from_ref, reader)
    made, _ = base._load_config_modules(reader, folder, token=None, cache_folder=None, local_files_only=True)
    pooling = [module.get_config_dict() for module in made.values() if isinstance(module, modules["Pooling"])]
    return {"modules": list(made), "pooling": pooling, "config": config, "card": reader._model_card_text, **shapes}


if __name__ == "__main__":
    print(json.dumps(read(sys.argv[1])))

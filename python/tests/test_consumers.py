"""What is shown in models/ is what real programs load: llama.cpp, transformers, tokenizers and safetensors.

Each runs in a process of its own, without a network, on the files as they were made and on the downloaded view, and must find
the same. A program that is missing fails the test by its name.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Literal

import pytest

from conftest import MakeHub, python
from model_manager import Manager
from tiny_models import write_gguf, write_set

Link = Literal["symlink", "hardlink"]
LINKS: list[Link] = ["symlink", "hardlink"]
CONSUMER = str(Path(__file__).with_name("consumer.py"))


def load(program: str, path: Path) -> Any:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    result = python(CONSUMER, program, str(path), env=environment)
    assert result.returncode == 0, f"{program} cannot load {path}:\n{result.stderr}"
    return json.loads(result.stdout.splitlines()[-1])


def assert_linked(file: Path, link: Link) -> None:
    """So that a view of copies does not pass for one of links."""
    assert file.is_symlink() == (link == "symlink"), file
    seen = file.stat()
    assert seen.st_nlink == (1 if link == "symlink" else 2), file
    assert stat.S_IMODE(seen.st_mode) == 0o444, file


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("part_bytes", [0, 100_000], ids=["whole", "split"])
def test_llama_cpp_evaluates_tokens(hub: MakeHub, tmp_path: Path, link: Link, part_bytes: int) -> None:
    made = tmp_path / "made"
    made.mkdir()
    files = write_gguf(made / "tiny.F16.gguf", part_bytes)
    assert (len(files) > 1) == (part_bytes > 0)
    hub({"test/tiny-llama-gguf": made})
    done = Manager(link=link).download("test/tiny-llama-gguf:F16")
    assert done.path.name == files[0].name
    for file in files:
        assert_linked(done.path.parent / file.name, link)
    found = load("llama_cpp", done.path)
    assert found["tokens"] == 3
    assert found == load("llama_cpp", files[0])


@pytest.mark.parametrize("link", LINKS)
def test_transformers_and_safetensors_load_a_set(hub: MakeHub, tmp_path: Path, link: Link) -> None:
    made = tmp_path / "made"
    write_set(made)
    hub({"test/tiny-llama": made})
    done = Manager(link=link).download("test/tiny-llama", format="safetensors")
    assert sorted(file.file for file in done.files) == sorted(file.name for file in made.iterdir())
    for file in done.files:
        assert_linked(done.path / file.file, link)
    found = load("transformers", done.path)
    assert (found["type"], found["width"], found["text"]) == ("llama", 64, "one link")
    assert found == load("transformers", made)
    weights = load("safetensors", done.path)
    assert len(weights) == 4
    assert weights == load("safetensors", made)


LOADERS = """
import os, model_manager
from model_manager.hub import hf_hub_download, snapshot_download

weights = model_manager.download("test/tiny-llama-gguf:F16")
whole = model_manager.download("test/tiny-llama", format="safetensors")
folder = snapshot_download("test/tiny-llama")
config = hf_hub_download("test/tiny-llama", "config.json")
os.environ["HF_HUB_OFFLINE"] = "1"

import xllamacpp
from transformers import AutoConfig, AutoTokenizer

for path in (whole, folder, os.path.dirname(config)):
    assert AutoConfig.from_pretrained(path).model_type == "llama"
    assert AutoTokenizer.from_pretrained(path)("one link")["input_ids"]
parameters = xllamacpp.CommonParams()
# Made with Cython, which takes no other class than str itself.
parameters.model.path = str(weights)
parameters.n_ctx, parameters.n_parallel, parameters.warmup = 64, 1, False
answer = xllamacpp.Server(parameters).handle_completions({"prompt": "ab", "max_tokens": 3})
print(answer["usage"]["completion_tokens"])
"""


def test_loaders_take_a_download_as_it_is(hub: MakeHub, tmp_path: Path) -> None:
    (tmp_path / "gguf").mkdir()
    write_gguf(tmp_path / "gguf/tiny.F16.gguf", 0)
    write_set(tmp_path / "set")
    hub({"test/tiny-llama-gguf": tmp_path / "gguf", "test/tiny-llama": tmp_path / "set"})
    done = python("-c", LOADERS)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "3", done.stderr

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

"""Loads models with the programs that people use, and prints what they made of each as a line of JSON.

Run by test_consumers.py and test_sets.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def llama_cpp(path: str) -> dict[str, Any]:
    """A GGUF in llama.cpp: the text that it continues with, by its most likely tokens."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.n_ctx = 64
    parameters.n_parallel = 1
    parameters.warmup = False
    server = xllamacpp.Server(parameters)
    answer = server.handle_completions({"prompt": "ab", "max_tokens": 3, "temperature": 0})
    return {"text": answer["choices"][0]["text"], "tokens": answer["usage"]["completion_tokens"]}


def transformers(folder: str) -> dict[str, Any]:
    """A set in transformers, without torch: its configuration and its tokenizer."""
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer("one link")["input_ids"]
    return {"type": config.model_type, "width": config.hidden_size, "tokens": tokens, "text": tokenizer.decode(tokens)}


def safetensors(folder: str) -> dict[str, Any]:
    """The weights of a set, each found by the index: whole files, and slices of single tensors."""
    from safetensors import safe_open
    from safetensors.numpy import load_file

    index = json.loads(Path(folder, "model.safetensors.index.json").read_text())
    found: dict[str, Any] = {}
    for tensor, file in index["weight_map"].items():
        path = Path(folder, file)
        whole = load_file(path)[tensor]
        with safe_open(path, framework="np") as opened:
            part = opened.get_slice(tensor)[3:5]
        assert (part == whole[3:5]).all(), tensor
        found[tensor] = [list(whole.shape), float(whole.sum())]
    return found


def a_set(folder: str) -> dict[str, Any]:
    """All of a set: configuration, tokenizer, templates and code in transformers, and every file of weights, those of an index
    by what it names."""
    from safetensors.numpy import load_file
    from transformers import AutoConfig, AutoTokenizer

    here = Path(folder)
    found: dict[str, Any] = {"weights": {}}
    if (here / "config.json").exists():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, config=config)
        found |= {"type": config.model_type, "said": getattr(config, "said", None)}
        found |= {"tokens": tokenizer("one link")["input_ids"], "template": tokenizer.chat_template}
    files = {path.relative_to(here) for path in here.rglob("*.safetensors")}
    for index in here.rglob("*.safetensors.index.json"):
        named = json.loads(index.read_text())["weight_map"]
        files |= {index.parent.relative_to(here) / name for name in named.values()}
        for tensor, name in named.items():
            assert tensor in load_file(index.parent / name), tensor
    for file in sorted(files):
        found["weights"][str(file)] = {name: float(tensor.sum()) for name, tensor in load_file(here / file).items()}
    return found


if __name__ == "__main__":
    programs = {"llama_cpp": llama_cpp, "transformers": transformers, "safetensors": safetensors, "a_set": a_set}
    for path in sys.argv[2:]:
        print(json.dumps(programs[sys.argv[1]](path)))

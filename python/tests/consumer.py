"""Loads a model with the programs that people use, and prints what they made of it as JSON. Run by test_consumers.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def llama_cpp(path: str) -> dict[str, Any]:
    """A GGUF in llama.cpp: the text that it goes on with, by its most likely tokens."""
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


if __name__ == "__main__":
    load = {"llama_cpp": llama_cpp, "transformers": transformers, "safetensors": safetensors}[sys.argv[1]]
    print(json.dumps(load(sys.argv[2])))

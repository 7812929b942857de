"""Sets of every shape that the Hub has, as they are downloaded, are what their loaders load: transformers its configuration, its
tokenizer, its code and the weights by their index, and sentence-transformers its modules.

Each loader runs in a process of its own, without a network, on what was made and on what was downloaded, and must find the same.
What is beside the set of another framework, or a copy of its weights, is not in what was downloaded.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from safetensors.numpy import save_file

from conftest import MakeHub, python
from model_manager import Manager
from tiny_models import write_set

HERE = Path(__file__).parent
INDEX = "model.safetensors.index.json"


def run(program: str, *paths: Path, arguments: tuple[str, ...] = ()) -> list[Any]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    result = python(str(HERE / program), *arguments, *map(str, paths), env=environment)
    assert result.returncode == 0, f"{program} cannot load {paths}:\n{result.stderr}"
    return [json.loads(line) for line in result.stdout.splitlines()[-len(paths) :]]


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def tensors(path: Path, seed: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"of.{path.stem}": numpy.random.default_rng(seed).standard_normal((8, 8), dtype=numpy.float32)}, path)


def renamed(folder: Path, names: tuple[str, str]) -> None:
    """Gives the two shards other names, in the index too."""
    index = (folder / INDEX).read_text()
    for number, name in enumerate(names, 1):
        old = f"model-0000{number}-of-00002.safetensors"
        (folder / old).rename(folder / name)
        index = index.replace(old, name)
    (folder / INDEX).write_text(index)


def only(folder: Path, name: str) -> None:
    """Leaves one file of weights, and no index."""
    for path in (*folder.glob("*.safetensors"), folder / INDEX):
        path.unlink()
    tensors(folder / name)


def zero_based(made: Path) -> None:
    renamed(made, ("model-00000-of-00001.safetensors", "model-00001-of-00001.safetensors"))


def underscores(made: Path) -> None:
    renamed(made, ("model_00001-of-00002.safetensors", "model_00002-of-00002.safetensors"))


def named_by_the_index_alone(made: Path) -> None:
    renamed(made, ("model-language.safetensors", "model-vision.safetensors"))


def single(made: Path) -> None:
    only(made, "model.safetensors")


def templates(made: Path) -> None:
    write(made / "chat_template.jinja", "{{ messages }}")
    write(made / "additional_chat_templates/tool.jinja", "{{ tools }}")
    write(made / "generation_config.json", {"max_length": 7})
    write(made / "special_tokens_map.json", {})


def remote_code(made: Path) -> None:
    config = json.loads((made / "config.json").read_text())
    config |= {"model_type": "owl", "auto_map": {"AutoConfig": "configuration_owl.OwlConfig"}}
    write(made / "config.json", config)
    write(made / "owl_words.py", "WORD = 'hoot'\n")
    write(
        made / "configuration_owl.py",
        "from transformers import PretrainedConfig\nfrom .owl_words import WORD\n\n\n"
        "class OwlConfig(PretrainedConfig):\n    model_type = 'owl'\n    said = WORD\n",
    )


def adapters(made: Path) -> None:
    single(made)
    for name in ("speech-lora", "vision-lora"):
        write(made / name / "adapter_config.json", {"peft_type": "LORA", "r": 4})
        tensors(made / name / "adapter_model.safetensors")


def quantized(made: Path) -> None:
    config = json.loads((made / "config.json").read_text())
    write(made / "config.json", config | {"quantization_config": {"quant_method": "awq", "bits": 4}})
    write(made / "quantize_config.json", {"bits": 4})


SHAPES: list[Callable[[Path], None]] = [
    zero_based,
    underscores,
    named_by_the_index_alone,
    single,
    templates,
    remote_code,
    adapters,
    quantized,
]


def others(folder: Path) -> None:
    """What stands beside sets and belongs to another loader, or is a copy of the weights."""
    for path in ("onnx/model.onnx", "openvino/openvino_model.bin", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"):
        write(folder / path, "of another framework")
    for name in ("original/model.safetensors", "model.fp16.safetensors", "checkpoint-5/model.safetensors"):
        tensors(folder / name)
    write(folder / "original/params.json", {})


def below(folder: Path) -> set[str]:
    hidden = {path for path in folder.rglob("*") if any(part.startswith(".") for part in path.relative_to(folder).parts)}
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() and path not in hidden}


def downloaded(hub: MakeHub, made: Path, offered: Path) -> Path:
    """What a download of the set with all its companions of other frameworks shows: the set alone."""
    hub({"test/owl": offered})
    plan = Manager().plan("test/owl", format="safetensors")
    assert {file.repo_path for file in plan.left_out} == below(offered) - below(made)
    assert all(file.reason for file in plan.left_out)
    shown = Manager().download("test/owl", format="safetensors").path
    assert below(shown) == below(made)
    return shown


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_transformers_loads_a_set_of_any_shape(hub: MakeHub, tmp_path: Path, shape: Callable[[Path], None]) -> None:
    made, offered = tmp_path / "made", tmp_path / "offered"
    for folder in (made, offered):
        write_set(folder)
        shape(folder)
    others(offered)
    found, wanted = run("consumer.py", downloaded(hub, made, offered), made, arguments=("a_set",))
    assert found == wanted
    assert found["tokens"] and found["weights"]
    if shape is templates:
        assert found["template"]
    if shape is remote_code:
        assert found["said"] == "hoot"
    if shape is adapters:
        assert {"speech-lora/adapter_model.safetensors", "vision-lora/adapter_model.safetensors"} <= found["weights"].keys()


def test_weights_and_settings_in_mistrals_own_form_are_all_there(hub: MakeHub, tmp_path: Path) -> None:
    made = tmp_path / "made"
    write(made / "params.json", {"dim": 8})
    write(made / "tekken.json", {"config": {}, "vocab": []})
    tensors(made / "consolidated.safetensors")
    shown = downloaded(hub, made, made)
    found, wanted = run("consumer.py", shown, made, arguments=("a_set",))
    assert found == wanted and list(found["weights"]) == ["consolidated.safetensors"]


def test_every_part_of_a_pipeline_loads(hub: MakeHub, tmp_path: Path) -> None:
    made, offered = tmp_path / "made", tmp_path / "offered"
    for folder in (made, offered):
        write_set(folder / "text_encoder")
        single(folder / "text_encoder")
        for part in ("unet", "vae"):
            write(folder / part / "config.json", {"_class_name": part})
            tensors(folder / part / "diffusion_pytorch_model.safetensors")
        write(folder / "scheduler/scheduler_config.json", {})
        write(folder / "model_index.json", {"_class_name": "OwlPipeline", **{part: ["x", "y"] for part in ("unet", "vae")}})
    tensors(offered / "unet/diffusion_pytorch_model.fp16.safetensors")
    tensors(offered / "text_encoder/model.fp16.safetensors")
    tensors(offered / "owl_1.0.safetensors")
    shown = downloaded(hub, made, offered)
    found, wanted = run("consumer.py", shown / "text_encoder", made / "text_encoder", arguments=("a_set",))
    assert found == wanted and found["tokens"]
    for part in json.loads((shown / "model_index.json").read_text()).keys() - {"_class_name"}:
        assert (shown / part / "diffusion_pytorch_model.safetensors").read_bytes() == (
            made / part / "diffusion_pytorch_model.safetensors"
        ).read_bytes()


def sentences(made: Path) -> None:
    """A set with the modules of sentence-transformers, as its own writer lays them out."""
    single(made)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Normalize", "Normalize")]
    write(
        made / "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (path, kind) in enumerate(modules)
        ],
    )
    write(made / "config_sentence_transformers.json", {"__version__": {"sentence_transformers": "2.0.0"}, "prompts": {}})
    write(made / "sentence_bert_config.json", {"max_seq_length": 128})
    write(made / "1_Pooling/config.json", {"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True})
    dense = {"in_features": 64, "out_features": 8, "bias": False, "activation_function": "torch.nn.modules.linear.Identity"}
    write(made / "2_Dense/config.json", dense)
    tensors(made / "2_Dense/model.safetensors")
    write(made / "README.md", "words")


def test_sentence_transformers_reads_its_modules(hub: MakeHub, tmp_path: Path) -> None:
    if importlib.util.find_spec("sentence_transformers") is None:
        pytest.skip("sentence-transformers is not installed: its reader of modules is not run")
    made, offered = tmp_path / "made", tmp_path / "offered"
    for folder in (made, offered):
        write_set(folder)
        sentences(folder)
    others(offered)
    write(offered / "2_Dense/pytorch_model.bin", "a copy")
    shown = downloaded(hub, made, offered)
    (found,), (wanted,) = run("sentence_reader.py", shown), run("sentence_reader.py", made)
    assert found == wanted
    assert found["modules"] == ["0", "1", "2", "3"]
    assert found["pooling"][0]["embedding_dimension"] == 64
    assert found["2_Dense/model.safetensors"] and found["sentence_bert_config.json"] == {"max_seq_length": 128}
    assert found["card"] == "words" and found["config"]["prompts"] == {}
    # It does open what is asked of it: without a module's weights it refuses.
    (made / "2_Dense/model.safetensors").unlink()
    with pytest.raises(AssertionError, match="Could not find 'model.safetensors'"):
        run("sentence_reader.py", made)

"""Prints how long importing, looking up a path and downloading take. Nothing is asserted: times belong to a machine.

Run it with the interpreter that the package is installed in. --program names a `model-manager` to compare with, built with the
same profile as the wheel. The Hub is a debug build, and often the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "tests"))
from hub import MIB, Hub, gguf  # noqa: E402


def import_time(module: str) -> float:
    code = f"import time; a = time.perf_counter(); import {module}; print(time.perf_counter() - a)"
    runs = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(9)]
    return statistics.median(runs) * 1e3


def micros(work: object, repeat: int = 2000) -> float:
    assert callable(work)
    work()
    start = time.perf_counter()
    for _ in range(repeat):
        work()
    return (time.perf_counter() - start) / repeat * 1e6


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mib", type=int, default=512)
    options.add_argument("--program", type=Path)
    arguments = options.parse_args()
    mib: int = arguments.mib
    program = arguments.program and arguments.program.resolve()

    print(f"import model_manager        {import_time('model_manager'):8.1f} ms   (json + logging: {import_time('json, logging'):.1f} ms)")
    from model_manager import Manager, ModelManager

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("configs").mkdir()
        file = "small.Q4_K_M.gguf"
        registry = {
            "small": {"huggingface_id": "bench/small", "formats": {"gguf": {"q4_k_m": {"file": file}}}},
            "big": {"huggingface_id": "bench/big", "formats": {"gguf": {"q4_k_m": {"file": "big.Q4_K_M.gguf"}}}},
        }
        Path("configs/models.yaml").write_text(json.dumps({"models": registry}))
        synthetic = f"bench/big:big.Q4_K_M.gguf:{mib * MIB}"
        hub = Hub(Path("hub"), {"bench/small": {file: gguf(MIB)}}, "--synthetic", synthetic)
        os.environ["HF_ENDPOINT"] = hub.url
        manager = ModelManager()
        manager.download_model("small")
        path = manager.get_model_path("small", "gguf", "q4_k_m")
        assert path is not None
        print(f"ModelManager()              {micros(ModelManager, 200):8.1f} us")
        print(f"get_model_path              {micros(lambda: manager.get_model_path('small', 'gguf', 'q4_k_m')):8.1f} us   (os.stat: {micros(path.stat):.1f} us)")
        print(f"get_model_path, no quant    {micros(lambda: manager.get_model_path('small')):8.1f} us")
        print(f"list_models                 {micros(manager.list_models, 200):8.1f} us")
        print(f"download_model, present     {micros(lambda: manager.download_model('small', 'gguf', 'q4_k_m'), 50):8.1f} us")
        for run in range(3):
            start = time.perf_counter()
            done = Manager(f"models{run}").download("big")
            seconds = time.perf_counter() - start
            print(f"download of {mib} MiB, run {run + 1} {done.download_bytes / seconds / 1e6:8.0f} MB/s")
        if program is not None:
            start = time.perf_counter()
            subprocess.run([program, "--models-dir", "models-cli", "download", "big"], check=True, stdout=subprocess.DEVNULL)
            print(f"the same by the command     {mib * MIB / (time.perf_counter() - start) / 1e6:8.0f} MB/s")
        hub.close()


if __name__ == "__main__":
    main()

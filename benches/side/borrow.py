"""The case `borrow`: a file that was uploaded again, where most of its tensors are here."""

import hashlib
import os
import struct
import time

from .measure import Row, peak
from .world import COMMIT, MIB, File

REPO = "bench/borrow"
# A vocabulary of 32,000 words takes about as much.
HEADER = 1 << 20
SMALL = 16 << 10


class Tensor:
    """A tensor whose bytes are a part of a pool of random ones."""

    def __init__(self, name, pool, at, size):
        self.name, self.pool, self.at, self.size = name, pool, at, size

    def moved(self, pool):
        """The same name and shape with other bytes."""
        return Tensor(self.name, pool, self.at, self.size)

    def blocks(self):
        with open(self.pool, "rb") as file:
            file.seek(self.at)
            left = self.size
            while left:
                block = file.read(min(left, 4 * MIB))
                left -= len(block)
                yield block


def pool(path, size):
    with open(path, "wb") as file:
        for at in range(0, size, MIB):
            file.write(os.urandom(min(MIB, size - at)))
    return path


def tensors(pool, size, count):
    """So many large tensors, with a small one behind every fourth."""
    each, all, at = size // count // 32 * 32, [], 0
    for n in range(count):
        all.append(Tensor(f"blk.{n}.ffn.weight", pool, at, each))
        at += each
        if n % 4 == 3:
            all.append(Tensor(f"blk.{n}.norm.weight", pool, 32 * n, SMALL))
    return all


def gguf(text, all):
    """The header of a GGUF file with a text of so many bytes, and what follows it."""
    string = lambda data: struct.pack("<Q", len(data)) + data
    head = b"GGUF" + struct.pack("<IQQ", 3, len(all), 2)
    for key, value in ((b"general.architecture", b"llama"), (b"tokenizer.chat_template", b"x" * text)):
        head += string(key) + struct.pack("<I", 8) + string(value)
    at = 0
    for tensor in all:
        head += string(tensor.name.encode()) + struct.pack("<IQIQ", 1, tensor.size // 4, 0, at)
        at += -(-tensor.size // 32) * 32
    return head + b"\0" * (-len(head) % 32)


def safetensors(text, all):
    entries, at = [f'"__metadata__":{{"note":"{"x" * text}"}}'], 0
    for tensor in all:
        entries.append(f'"{tensor.name}":{{"dtype":"F32","shape":[{tensor.size // 4}],"data_offsets":[{at},{at + tensor.size}]}}')
        at += tensor.size
    json = ("{" + ",".join(entries) + "}").encode()
    return struct.pack("<Q", len(json)) + json


def write(world, name, head, all):
    path = world.path(REPO, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with open(path, "wb") as file:
        for block in (block for part in ([head], *(tensor.blocks() for tensor in all)) for block in part):
            file.write(block)
            digest.update(block)
            size += len(block)
    return File(path, size, digest.hexdigest())


def split(world, stem, head, all, parts):
    share = -(-len(all) // parts)
    cut = [all[at:at + share] for at in range(0, len(all), share)]
    kind = "gguf" if head is gguf else "safetensors"
    return [write(world, f"{stem}-{n + 1:05}-of-{len(cut):05}.{kind}", head(HEADER if n == 0 else 99, part), part) for n, part in enumerate(cut)]


def project(world, name, sets):
    """A project that knows sets of files by name."""
    folder = world.project(name)
    text = "models:\n"
    for model, files in sets.items():
        text += f'  {model}:\n    huggingface_id: {REPO}\n    revision: "{COMMIT}"\n    formats:\n      safetensors:\n        files:\n'
        text += "".join(f'          - {{path: {file.path.name}, size: {file.size}, sha256: "{file.sha256}"}}\n' for file in files)
    (folder / "configs/models.yaml").write_text(text)
    return folder


def case_borrow(bench):
    world, table = bench.world, bench.table
    size, count = bench.bytes, 20 if bench.quick else 200
    old_pool, new_pool = pool(world.dir / "pool-0", size), pool(world.dir / "pool-1", size)
    all = tensors(old_pool, size, count)
    some = lambda every: [tensor.moved(new_pool) if n % every == every - 1 else tensor for n, tensor in enumerate(all)]
    whole = lambda stem, text, all: lambda: [write(world, f"{stem}.gguf", gguf(text, all), all)]
    old = whole("old", HEADER, all)
    head = (HEADER + 8 * MIB) / size
    wide = dict(fast=0.25, slow=0.04)
    cases = {
        "metadata grown by 5 KB": (old, whole("new", HEADER + 5120, all), head, wide),
        "whole from its parts": (lambda: split(world, "old", gguf, all, 3), whole("new", HEADER, all), 0.01, wide),
        "parts from the whole": (old, lambda: split(world, "new", gguf, all, 3), 0.01, wide),
        "tensors reordered": (old, whole("new", HEADER, all[::-1]), 0.01, wide),
        "10 % of tensors changed": (old, whole("new", HEADER, some(10)), 0.13, dict(slow=0.3)),
        "quant sister, 80 % equal": (old, whole("new", HEADER, some(5)), 0.23, dict(slow=0.35)),
        "safetensors resharded": (lambda: split(world, "old", safetensors, all, 2), lambda: split(world, "new", safetensors, all, 5), 0.01, wide),
        "re-quantized, nothing equal": (old, whole("new", HEADER, [tensor.moved(new_pool) for tensor in all]), 1.01, {}),
    }
    lines = {"fast": 1000, "slow": 100}
    few = tensors(old_pool, size // 8, count)
    cases["a header of 64 MiB"] = (whole("old", HEADER, few), whole("new", 64 * MIB, few), (66 * MIB + 8 * MIB) / (size / 8 + 64 * MIB), {})
    ports = {line: world.shape(world.fast, 20, mbit) for line, mbit in lines.items()}
    theirs = {}
    for name, (make_old, make_new, reach, walls) in cases.items():
        sets = {"old": make_old(), "new": make_new()}
        files = sets["old"] + sets["new"]
        total = sum(file.size for file in sets["new"])

        def ours(line, measure=None, *words):
            world.storage = world.fast
            world.publish(REPO, files, large=True)
            folder = project(world, "borrow", sets)
            world.ours(folder, "download", "old", "--quiet", port=world.hub)
            world.storage = ports[line]
            world.publish(REPO, files, large=True)
            time.sleep(0.5)
            world.forget_sent()
            measure = {"measure": measure} if measure else {}
            return world.ours(folder, "download", "new", "--quiet", *words, port=world.hub, **measure)

        for line, mbit in lines.items():
            what = f"{name}, {mbit} Mbit/s"
            took = ours(line)
            table.figure(f"{what}: bytes on the wire, of {total >> 20} MiB", world.sent() / total, "x", reach if line == "fast" else None)
            if name.startswith("re-quantized"):
                if line == "fast":
                    plain = ours(line, None, "--no-borrow")
                    table.add(Row(table.case, what, "ours with --no-borrow", f"{took.wall:.3f} s", f"{plain.wall:.3f} s", took.wall / plain.wall, 1.05))
                continue
            if name.startswith("a header"):
                continue
            if world.has_hf():
                # All wanted sets are of one size: the rival fetches each as a whole, so it is timed once.
                if line not in theirs:
                    names = " ".join(file.path.name for file in sets["new"])
                    sync = "; sync $HF_HOME/hub/models--bench--borrow/blobs/*"
                    theirs[line] = world.hf(f"download {REPO} {names}{sync}", HF_HUB_DISABLE_XET="1")
                rival = theirs[line].wall
                table.add(Row(table.case, what, "hf download, HTTP; sync", f"{took.wall:.3f} s", f"{rival:.3f} s", took.wall / rival, walls.get(line)))
        if name.startswith(("metadata", "a header")):
            table.figure(f"{name}: peak memory", ours("fast", peak), "MB", 64)
        for file in files:
            file.path.unlink(missing_ok=True)

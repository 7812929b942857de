#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets: `python3 fuzz/make_seeds.py`. All names, sizes and hashes are made up.

A target's folder is written anew, except `reported-*`: inputs that once were findings.
"""

import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent / "seeds"
SHA, OTHER, GIT = "ab" * 32, "0123456789abcdef" * 4, "cd" * 20
COMMIT = "0123456789abcdef0123456789abcdef01234567"
UUIDS = ["6f0b1c2a-4d3e-4f5a-8b6c-7d8e9f0a1b2c", "11111111-2222-4333-8444-555555555555"]


def write(target, seeds):
    folder = HERE / target
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if not old.name.startswith("reported-"):
            old.unlink()
    for number, seed in enumerate(seeds):
        (folder / f"{number:02}").write_bytes(seed if isinstance(seed, bytes) else seed.encode())


def pretty(value):
    return json.dumps(value, indent=2) + "\n"


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf(version=3, pairs=(), tensors=(), data=0):
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    for key, kind, value in pairs:
        out += text(key) + struct.pack("<I", kind) + value
    for name, shape, kind, offset in tensors:
        out += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in shape)
        out += struct.pack("<IQ", kind, offset)
    return out + bytes(-len(out) % 32 + data)


def seeds_gguf():
    pairs = [
        ("general.architecture", 8, text("llama")),
        ("general.name", 8, text("Made Up")),
        ("general.file_type", 4, struct.pack("<I", 15)),
        ("general.alignment", 4, struct.pack("<I", 32)),
        ("llama.context_length", 4, struct.pack("<I", 2048)),
        ("tokenizer.chat_template", 8, text("{{ messages }}")),
        ("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + text("a") + text("b")),
        ("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, 2) + struct.pack("<ff", 0, 1)),
        ("nested", 9, struct.pack("<IQ", 9, 1) + struct.pack("<IQ", 0, 3) + b"abc"),
        ("split.no", 2, struct.pack("<H", 0)),
        ("split.count", 2, struct.pack("<H", 2)),
        ("flag", 7, b"\1"),
        ("big", 10, struct.pack("<Q", 1 << 40)),
    ]
    tensors = [("token_embd.weight", (32, 4), 0, 0), ("blk.0.attn_q.weight", (32, 2), 8, 512)]
    plain = gguf(pairs=pairs, tensors=tensors, data=600)
    end = b"\0\xff"
    yield end + plain
    yield b"\0\x20" + plain
    yield b"\x40\x80" + plain[:200]
    yield end + gguf(version=2, tensors=[("x", (1,), 30, 0)], data=32)
    yield end + gguf(version=0x03000000)
    yield end + gguf(pairs=[("general.alignment", 4, struct.pack("<I", 64))])
    yield end + b"version https://git-lfs.github.com/spec/v1\noid sha256:" + SHA.encode() + b"\nsize 5\n"
    yield end + b"<!DOCTYPE html><title>Log in</title>"


def seeds_safetensors():
    good = {
        "__metadata__": {"format": "pt"},
        "b": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [4, 16]},
        "a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
        "empty": {"dtype": "I8", "shape": [0], "data_offsets": [16, 16]},
    }
    body = json.dumps(good).encode()
    yield b"\0\x10\xff" + body
    yield b"\0\x10\x40" + body + b"   "
    yield b"\1\x10\xff" + struct.pack("<Q", len(body)) + body
    yield b"\0\x03\xff" + json.dumps({"a": {"dtype": "F4", "shape": [5], "data_offsets": [0, 3]}}).encode()
    yield b"\0\x06\xff" + json.dumps({"a": {"dtype": "X9", "shape": [5], "data_offsets": [0, 6]}}).encode()
    yield b"\0\0\xff{\"__metadata__\":null}"
    yield b"\1\0\xff" + b'{"error":"Invalid token"}'


def seeds_journal():
    record = lambda kind, number, value, boot=0, damage=255: bytes([kind, number >> 8, number & 255, value, boot, damage])
    size = struct.pack("<Q", (5 * (1 << 20) + 17) << 28)
    written = b"".join(record(1, n, n + 1) for n in range(6))
    yield b"\3" + size + written
    yield b"\3" + size + written + record(3, 5, 9) + record(2, 500, 0) + record(1, 2, 7, 1) + record(3, 2, 8, 1)
    yield b"\3" + size + record(1, 0, 1, 1) + record(2, 128, 0, 1) + record(1, 1, 2, 2) + record(3, 1, 3, 1)
    yield b"\2" + size + written + record(1, 0, 9, 0, 20)
    yield b"\0" + size + bytes(range(200))
    yield b"\1" + size + b"MMJRNL01" + bytes(60)


def seeds_records():
    view = {"model": "tiny", "format": "gguf", "quant": "q4_k_m"}
    stamp = {"size": 9, "mtime_ns": 1767225600000000000, "ino": 7}
    yield "0" + pretty({"layout": 1, "uuid": UUIDS[0], "hash": "sha256", "segment_len": 1 << 20, "min_reader": 1,
                        "min_writer": 1, "flags": [], "dir_mode": 0o755})
    yield "0" + pretty({"layout": 2, "uuid": UUIDS[0], "hash": "blake3", "segment_len": 1, "min_reader": 2,
                        "min_writer": 2, "flags": ["x"], "dir_mode": 4095})
    source = {"endpoint": "https://hub.example", "repo": "o/r", "commit": COMMIT, "path": "x.gguf", "git_sha1": GIT}
    for trust in ["sha256-upstream", "git-sha1-upstream", "tofu"]:
        yield "1" + pretty({"format": 1, "size": 9, "blake3": OTHER, "trust": trust, "verified_at": "2026-01-01T00:00:00Z",
                            "stamp": stamp, "sources": [source, {"endpoint": "local"}]})
    import hashlib
    files = [{"path": "x.gguf", "sha256": SHA, "size": 9}, {"path": "a/y.json", "sha256": OTHER, "size": 2}]
    lines = "".join(f"{f['sha256']} {f['size']} {f['path']}\n" for f in files)
    yield "2" + pretty({"format": 1, "view": view, "files": files, "check": hashlib.sha256(lines.encode()).hexdigest()})
    yield "2" + pretty({"format": 1, "view": {"model": "m", "format": "safetensors"}, "files": [],
                        "check": hashlib.sha256(b"").hexdigest()})
    yield "3" + pretty({"format": 1, "uuid": UUIDS[0], "path": "/srv/models", "host": "h", "dev": 1, "uid": 1000,
                        "created": "2026-01-01T00:00:00Z", "last_seen": "2026-01-02T00:00:00Z"})
    yield "4" + pretty({"format": 1, "size": 9, "what": "o/r x.gguf", "begun": "2026-01-01T00:00:00Z"})
    yield "5" + f"{SHA}\n{OTHER}\nno digest\n{SHA.upper()}\n{SHA[:20]}"
    manifest = [{"path": "x.gguf", "sha256": SHA, "size": 9, "link": "symlink"},
                {"path": "a/y.json", "sha256": OTHER, "size": 2, "link": "copy", "stamp": stamp}]
    yield "6" + pretty({"format": 1, "view": view, "project": UUIDS[0], "store": UUIDS[1], "link": "hardlink",
                        "built_at": "2026-01-01T00:00:00Z", "files": manifest})
    yield "6" + pretty({"format": 1, "project": UUIDS[0], "store": UUIDS[1]})


def seeds_hub_tree():
    lfs = lambda path, size: {"type": "file", "path": path, "size": size, "oid": GIT, "xetHash": SHA,
                              "lfs": {"oid": SHA, "size": size, "pointerSize": 130}}
    plain = lambda path: {"type": "file", "path": path, "size": 3, "oid": GIT}
    folder = {"type": "directory", "path": "sub", "size": 0, "oid": GIT}
    yield json.dumps([folder, lfs("x.Q4_K_M.gguf", 9), lfs("x.Q8_0.gguf", 19), lfs("mmproj-x-F16.gguf", 5), plain("README.md")])
    yield json.dumps([lfs(f"model-0000{n}-of-00002.safetensors", 9) for n in (1, 2)]
                     + [plain(p) for p in ("model.safetensors.index.json", "config.json", "tokenizer.json")])
    yield json.dumps([lfs(f"Q8_0/big-0000{n}-of-00003.gguf", 9) for n in (1, 2, 3)]) + "\x1e" + json.dumps([plain("b.json")])
    yield json.dumps([plain("A.json"), plain("a.json"), plain("aux.txt"), plain("12:30.png")])
    yield json.dumps([{**lfs("hidden.bin", 4), "xetHash": "*" * 64, "lfs": {"oid": "*" * 64, "size": 4}}])
    yield json.dumps([plain("../x")])
    yield json.dumps([lfs("pytorch_model.bin", 4), plain("config.json")]) + "\x1e[]"


def seeds_hub_json():
    yield "0" + json.dumps({"id": "New/Name", "sha": COMMIT, "gated": "manual", "private": True,
                            "cardData": {"license": "other", "license_name": "made-up"}, "tags": ["license:mit"]})
    yield "1" + json.dumps({"modelId": "o/r", "sha": COMMIT, "gated": False, "disabled": False, "tags": [1, "license:mit"]})
    yield "1" + json.dumps({"sha": "f" * 40, "gated": True, "cardData": {"license": ["apache-2.0"]}})
    shards = {f"layer.{n}": f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)}
    yield "2" + json.dumps({"metadata": {"total_size": 9}, "weight_map": shards})
    yield "2" + json.dumps({"weight_map": {}})
    yield "2" + json.dumps({"weight_map": {"a": 1}})


REGISTRY = f"""# The models.
models:
  tiny-chat:  # a model
    huggingface_id: "owner/Tiny-GGUF"
    revision: "{COMMIT}"
    description: "A tiny one: for tests"
    license: apache-2.0
    formats:
      gguf:
        # The usual one.
        q4_k_m:
          file: "tiny.Q4_K_M.gguf"
          size: 123
          sha256: "{SHA}"
        q8_0: {{ file: "tiny.Q8_0.gguf", size: null, sha256: null }}
        q2_k: "tiny.Q2_K.gguf"

  big:
    huggingface_id: other/Big
    gated: true
    formats:
      safetensors:
        include: ["*.json", "*.safetensors"]
        exclude: ["original/*"]
        expect:
          - path: "config.json"
            size: 3
            sha256: null
      gguf:
        huggingface_id: "other/Big-GGUF"
        status: superseded
        superseded_by: "tiny-chat"
        note: "Old."
        q6_k:
          files:
            - {{ path: "Q6_K/big-00001-of-00002.gguf", size: 1, sha256: null }}
            - "Q6_K/big-00002-of-00002.gguf"
"""
MERGED = """base: &base
  huggingface_id: o/r
  formats: {gguf: {q4_0: x.gguf}}
models:
  a: *base
  b:
    <<: *base
    revison: main
"""


def seeds_registry():
    yield REGISTRY
    yield MERGED
    yield "\ufeff" + REGISTRY.replace("\n", "\r\n")
    yield "models:\n  a: {huggingface_id: o/r, formats: {safetensors: {}}}\n"
    yield "models:\n  a:\n    formats: {guff: x}\n"
    yield "models: {}\n"
    yield "---\nmodels:\n  'x':\n    huggingface_id: !!str o/r\n    formats:\n      gguf:\n        q4_0: |\n          x.gguf\n"


def seeds_registry_edit():
    add = "a|new-model|gguf|q4_k_m|owner/New-GGUF|129|mit||A new one|New.Q4_K_M.gguf\n"
    yield add + REGISTRY
    yield "a|tiny-chat|gguf|q5_k_m|owner/Tiny-GGUF|12|||| tiny.Q5_K_M.gguf\n" + REGISTRY
    yield "a|tiny-chat|safetensors||owner/Tiny|11|mit|yes||config.json|model.safetensors\n" + REGISTRY
    yield "a|tiny-chat|gguf|q5_0|else/where|13|||| tiny.Q5_0-00001-of-00002.gguf|tiny.Q5_0-00002-of-00002.gguf\n" + REGISTRY
    yield "r|tiny-chat|gguf|q4_k_m|owner/Tiny-GGUF|125||||tiny.Q4_K_M.gguf\n" + REGISTRY
    yield "r|tiny-chat|gguf|q8_0|owner/Tiny-GGUF|125||||tiny.Q8_0.gguf\n" + REGISTRY
    yield "r|tiny-chat|gguf|q2_k|owner/Tiny-GGUF|125||||tiny.Q2_K.gguf\n" + REGISTRY
    yield ("r|big|gguf|q6_k|other/Big-GGUF|127||||Q6_K/big-00001-of-00002.gguf|Q6_K/big-00002-of-00002.gguf\n" + REGISTRY)
    yield "r|big|safetensors||other/Big|127||||config.json|model.safetensors\n" + REGISTRY
    yield add + "models: {}\n"
    yield add + "models:  # nothing yet\n"
    yield add + MERGED
    yield add + ("\ufeff" + REGISTRY).replace("\n", "\r\n")
    yield add + "models:\n  a: {huggingface_id: o/r, formats: {gguf: {q4_0: x.gguf}}}\n# the end"


def seeds_lock_file():
    head = "# Made up.\nversion: 1\nviews:\n"
    view = f"""  - model: "tiny"
    format: "gguf"
    quant: "q4_k_m"
    source: registry
    repo: "owner/Tiny-GGUF"
    revision: "main"
    commit: "{COMMIT}"
    license: "mit"
    gated: true
    files:
      - path: "tiny.Q4_K_M.gguf"
        size: 123
        sha256: "{SHA}"
"""
    whole = f"""  - model: "big"
    format: "safetensors"
    source: repository
    repo: "other/Big"
    commit: "{COMMIT}"
    include: ["*.json"]
    exclude: ["a/*"]
    files:
      - path: "config.json"
        repo_path: "sub/config.json"
        size: 0
        sha256: "{OTHER}"
        git_sha1: "{GIT}"
"""
    yield head + view
    yield head + view + whole
    yield "version: 1\nviews: []\n"
    yield "version: 2\nviews: []\n"
    yield head + view.replace("registry", "file").replace('    quant: "q4_k_m"\n', "")
    yield "<<<<<<< ours\n" + head + "=======\n" + head + ">>>>>>> theirs\n"


def seeds_settings():
    yield """0# Settings.
models_dir: "weights"
store: "~/store"
link: "hardlink"
lock_timeout: "1h"
endpoints: ["https://hub.example", "http://127.0.0.1:8080/hf"]
offline: false
connections: 8
limit_rate: 1.5MB
stall_timeout: "20s"
connect_timeout: 10
ca_file: null
tries: 6
"""
    yield "0offline: true\nlimit_rate: none\nlock_timeout: never\nendpoints: https://hub.example\n"
    yield "0conections: 4\n"
    yield "0store: a\nstore: b\n"
    for time in ["500ms", "30s", "5m", "1h", "2d", "never", "0.5h", "45"]:
        yield "1" + time
    for rate in ["5M", "800k", "1.5MB", " 2 GB/s ", "70000", "none", "5MiB"]:
        yield "2" + rate
    for address in ["https://hub.example/", "http://127.0.0.1:8080/hub", "https://me:secret@x.example", "https://x.example/?a=b"]:
        yield "3" + address


def seeds_backend_settings():
    path = "models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf\n"
    yield path + ('# llama.cpp.\nbackend:\n  type: llama_cpp\n  model_path: "models/old.gguf"  # the model\n  n_ctx: 4096\n'
                  "  n_gpu_layers: 0  # -1 is all\n")
    yield path + "backend:\n  type: vllm\n  max_model_len: 2048\n"
    yield path + "backend: {model_path: 'it''s', type: x}\n"
    yield path + "backend:\n  model_path:\nother: ~\n"
    yield path + "\ufeffbackend:\r\n  model_path: ~\r\n  list: [1, 2.5, no]\r\n"
    yield path + "a: &a models/x\nbackend:\n  model_path: &b plain text # why\n  again: *b\n  type: *a\n"
    yield path + "backend:\n  model_path: |\n    text\n  type: 12:30\n"
    yield "C:\\models\\é \"x\".gguf\nbackend:\n  model_path: old"


def seeds_headers():
    for text in ["bytes 2-4/10", "bytes */10", "bytes 0-0/*", "bytes=0-1/2"]:
        yield "0" + text
    for text in ["7\n\"api\";r=0;t=55", "Wed, 21 Oct 2015 07:28:00 GMT\n\"resolvers\";r=0;t=9, \"api\";r=12;t=5", "\n\"fixed window\";\"api\";q=3000;w=300"]:
        yield "1" + text
    yield '2<https://huggingface.co/api/models/o/r/tree/c?cursor=x%3D>; rel="next"'
    yield '2<https://h.example/a>; rel="prev", </api/b?c>; rel=next'
    for text in ["/o/new/resolve/main/x", "https://cdn.example/x?Signature=s#f", "http://me:pw@h.example/", "//evil.example/x"]:
        yield "3" + text
    for text in ['W/"abc"', '"' + SHA + '"', GIT]:
        yield "4" + text
    for text in ["X-Amz-Date=20260101T000000Z&X-Amz-Expires=3600&X-Amz-Signature=s", "Expires=1800000000&Key-Pair-Id=K",
                 "X-Goog-Expires=60&X-Goog-Date=x", "Policy=abc"]:
        yield "5" + text
    for text in ["https://hub.example/api/models/o/r/revision/main RepoNotFound\nRepository not found", "GatedRepo\nAccess is restricted",
                 "https://hub.example/o/r/resolve/main/x EntryNotFound\nEntry not found", "\nInvalid credentials in Authorization header"]:
        yield "6" + text
    yield "7a\tb\u202ec\u0000d"


def seeds_reference():
    yield from ["phi-2", "phi-2:Q4_K_M", "o/r", "o/r:Q4_K_M", "o/r@q6_k", "o/r@v1.0", "o/r@refs/pr/2:Q8_0", "o/r:x.Q4_K_M.gguf",
                "hf.co/o/r:i1-Q4_K_M", "hf.co/o/r:latest", "hf.co/o/r/blob/main/c.gguf", "hf://o/r:q8_0",
                "hf://models/o/r@main/a/b.gguf", "hf://o/r@refs%2Fpr%2F7/b.gguf", "hf://o/r@refs/pr/7/b.gguf",
                "https://huggingface.co/o/r/blob/main/a%20b/c.gguf", "https://huggingface.co/o/r/tree/refs/pr/1/sub",
                "https://huggingface.co/o/r/tree/main?show_file_info=Q4%2Fc.gguf", "http://mirror.lan:8090/hf/o/r/resolve/main/c.gguf",
                "mirror.lan:8090/hf/o/r", "datasets/o/r", "https://huggingface.co/o/r/resolve/main/%2e%2e%2fx", "hf://datasets/o/r"]


def seeds_names():
    yield from ["0tinyllama-1.1b-chat", "0Ünïcode_9", "1gguf", "2Q4_K_M", "2ud-q4_k_xl", "3owner/name", "3gpt2", "4refs/pr/1",
                "4" + COMMIT, "5a b/x[1]^2#ö%.gguf", "5con.txt", "5../x", "6x-UD-Q4_K_XL-00001-of-00003", "6a/Q4_K_M/big.gguf",
                "7*.safetensors\na/b.safetensors", "7[!a-c]?x\ndyx", "7sub/\nsub/x", "8phi-2\nphi-3\nphi-2", "9" + SHA, "9g-" + GIT,
                "9r-" + UUIDS[0].replace("-", "")]


for name, seeds in list(globals().items()):
    if name.startswith("seeds_"):
        write(name.removeprefix("seeds_"), seeds())

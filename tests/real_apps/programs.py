"""The programs, each with what it does to models: one table for all questions."""

from __future__ import annotations

import abc
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from machine import ENVIRONMENTS, GGUF, GGUF_FILE, OTHER, OTHER_FILE, SET, Machine, sha256

Act = tuple[str, Callable[[], object]]

# Not to be had from a package registry, so not run here.
ELSEWHERE = {
    "ollama": "its server is in no package registry; tests/manager/programs.rs acts as it does",
    "lm-studio": "a graphical program that is in no package registry; tests/manager/programs.rs acts as it does",
    "jan": "a graphical program that is in no package registry; tests/manager/programs.rs acts as it does",
    "docker": "Docker Model Runner needs a daemon; tests/manager/programs.rs acts as it does",
    "llama-cpp -hf": "llama-server is in no package registry as a program; xllamacpp loads files only",
    "textgen": "in no package registry; tests/manager/programs.rs acts as it does",
    "comfyui": "in no package registry; tests/manager/programs.rs acts as it does",
    "gpt4all-chat": "a graphical program that is in no package registry; its Python binding is run",
}


class Program(abc.ABC):
    """A program in an environment of its own, which has its models in `folder`."""

    app: str
    environment: str
    package: str
    below_home: str
    # The repository whose model is adopted and exposed, and another one that the program keeps for itself.
    repo, other = GGUF, OTHER
    takes_exposures = True

    @property
    def expose_to(self) -> str:
        return self.app

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.folder = machine.home / self.below_home

    @classmethod
    def version(cls) -> str:
        found = next((ENVIRONMENTS / cls.environment).glob(f"lib/python*/site-packages/{cls.package}-*.dist-info"))
        return found.name.removesuffix(".dist-info").rsplit("-", 1)[1]

    def tool(self, name: str, *arguments: str | Path, **options: str) -> str:
        return self.machine.run(ENVIRONMENTS / self.environment / "bin" / name, *arguments, **options)

    def python(self, text: str, *arguments: str | Path, **options: str) -> str:
        return self.tool("python", "-c", text, *arguments, **options)

    def prepare(self) -> None:
        """Makes the folder as the program does when it is first started."""
        self.folder.mkdir(parents=True)

    @abc.abstractmethod
    def fetch(self, repo: str) -> None:
        """Fetches a model by itself."""

    @abc.abstractmethod
    def names(self) -> list[str]:
        """What the program lists."""

    @abc.abstractmethod
    def name(self, repo: str) -> str:
        """What of the list is this model."""

    @abc.abstractmethod
    def load(self, repo: str) -> dict[str, str]:
        """The program loads a model; the hashes of the files that it had."""

    @abc.abstractmethod
    def remove(self, repo: str) -> None:
        """Removes a model."""

    def take(self, path: Path) -> None:
        """Takes a file by a command of its own, where exposures are refused."""
        raise NotImplementedError

    def acts(self, repo: str) -> list[Act]:
        """What it does besides, which keeps a model that it has."""
        return []

    def wanted(self, repo: str) -> dict[str, str]:
        return self.machine.source(repo)


# `hf_hub_download` without a network, and the hash of what it gives.
LOCAL = """
import hashlib, json, sys
from huggingface_hub import hf_hub_download
repo, found = sys.argv[1], {}
for name in sys.argv[2:]:
    content = open(hf_hub_download(repo, name, local_files_only=True), "rb").read()
    found[name] = hashlib.sha256(content).hexdigest()
print(json.dumps(found))
"""
# As `hf cache rm` was before 1.0 has a user interface only.
DELETE = """
import sys
from huggingface_hub import scan_cache_dir
cache = scan_cache_dir()
commits = [revision.commit_hash for repo in cache.repos if repo.repo_id == sys.argv[1] for revision in repo.revisions]
cache.delete_revisions(*commits).execute()
"""
NAMES = """
import json
from huggingface_hub import scan_cache_dir
cache = scan_cache_dir()
assert not cache.warnings, cache.warnings
print(json.dumps([repo.repo_id for repo in cache.repos]))
"""


class HuggingFace(Program):
    app, package, below_home = "hf", "huggingface_hub", ".cache/huggingface/hub"

    def fetch(self, repo: str) -> None:
        self.tool("hf", "download", repo)

    def names(self) -> list[str]:
        found: list[str] = json.loads(self.python(NAMES))
        return found

    def name(self, repo: str) -> str:
        return repo

    def load(self, repo: str) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.python(LOCAL, repo, *self.wanted(repo), HF_HUB_OFFLINE="1"))
        return found

    def remove(self, repo: str) -> None:
        self.tool("hf", "cache", "rm", f"model/{repo}", "--yes")

    def acts(self, repo: str) -> list[Act]:
        return [
            ("hf cache ls", lambda: self.tool("hf", "cache", "ls")),
            ("hf cache verify", lambda: self.tool("hf", "cache", "verify", repo)),
            ("hf cache prune", lambda: self.tool("hf", "cache", "prune", "--yes")),
            ("hf download over it", lambda: self.fetch(repo)),
        ]


class HuggingFace036(HuggingFace):
    environment = "hf-0.36"

    def remove(self, repo: str) -> None:
        self.python(DELETE, repo)

    def acts(self, repo: str) -> list[Act]:
        return [
            ("hf cache scan", lambda: self.tool("hf", "cache", "scan", "-vvv")),
            ("hf download over it", lambda: self.fetch(repo)),
        ]


class HuggingFace100(HuggingFace):
    environment = "hf-1.0"

    def acts(self, repo: str) -> list[Act]:
        return [act for act in super().acts(repo) if act[0] != "hf cache verify"]


class HuggingFace1(HuggingFace):
    environment = "hf-1"


class HuggingFace24(HuggingFace):
    environment = "hf-2.4"


# What it does with a file that came by its own protocol, which is not here: one file for all repositories, and links to it.
SHARE = """
import sys
from pathlib import Path
from huggingface_hub.utils._shared_blobs import publish_blob_to_shared_store
cache = Path(sys.argv[1])
for blob in cache.glob("models--*/blobs/*"):
    if len(blob.name) == 64 and not blob.is_symlink():
        size = blob.stat().st_size
        assert publish_blob_to_shared_store(blob_path=str(blob), xet_hash=blob.name[::-1], cache_dir=cache, expected_size=size)
        assert blob.is_symlink()
"""


class HuggingFaceShared(HuggingFace24):
    """With the files that its caches share among repositories."""

    def fetch(self, repo: str) -> None:
        super().fetch(repo)
        self.python(SHARE, self.folder, HF_HUB_DISABLE_XET="")


EVALUATE = """
import sys, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.n_ctx, parameters.n_parallel, parameters.warmup = 64, 1, False
answer = xllamacpp.Server(parameters).handle_completions({"prompt": "ab", "max_tokens": 3})
assert answer["usage"]["completion_tokens"] == 3, answer
"""


class LlamaCpp(HuggingFace24):
    """llama.cpp has the cache of `huggingface_hub`; what fills and clears it here is the program of that name."""

    package, loader = "xllamacpp", "xllamacpp"

    @classmethod
    def version(cls) -> str:
        found = next((ENVIRONMENTS / cls.loader).glob(f"lib/python*/site-packages/{cls.package}-*.dist-info"))
        return found.name.removesuffix(".dist-info").rsplit("-", 1)[1]

    @property
    def expose_to(self) -> str:
        return "llama-cpp"

    def load(self, repo: str) -> dict[str, str]:
        root = self.folder / f"models--{repo.replace('/', '--')}"
        snapshot = root / "snapshots" / (root / "refs/main").read_text()
        for name in self.wanted(repo):
            self.machine.run(ENVIRONMENTS / self.loader / "bin/python", "-c", EVALUATE, snapshot / name)
        return super().load(repo)


# Without torch: configuration, tokenizer and index by transformers, the tensors by safetensors.
PRETRAINED = """
import hashlib, json, sys
from transformers import AutoConfig, AutoTokenizer
from transformers.utils import cached_file
from safetensors.numpy import load_file
repo, found = sys.argv[1], {}
assert AutoConfig.from_pretrained(repo).hidden_size == 64
assert AutoTokenizer.from_pretrained(repo)("one link")["input_ids"]
for name in sys.argv[2:]:
    path = cached_file(repo, name)
    found[name] = hashlib.sha256(open(path, "rb").read()).hexdigest()
    if name.endswith(".safetensors"):
        assert load_file(path)
print(json.dumps(found))
"""


class Transformers(HuggingFace):
    environment, package, repo = "transformers", "transformers", SET

    def fetch(self, repo: str) -> None:
        # Of a set, it fetches what it is asked for.
        text = "import sys; from huggingface_hub import snapshot_download; snapshot_download(sys.argv[1])"
        self.python(PRETRAINED, repo, *self.wanted(repo)) if repo == SET else self.python(text, repo)

    def load(self, repo: str) -> dict[str, str]:
        if repo != SET:
            return super().load(repo)
        found: dict[str, str] = json.loads(self.python(PRETRAINED, repo, *self.wanted(repo), HF_HUB_OFFLINE="1").splitlines()[-1])
        return found


class RamaLama(Program):
    app, environment, package, below_home = "ramalama", "ramalama", "ramalama", ".local/share/ramalama"
    takes_exposures = False

    def ramalama(self, *arguments: str) -> str:
        return self.tool("ramalama", "--nocontainer", "--store", self.folder, *arguments)

    def name(self, repo: str) -> str:
        return f"hf://{repo}/{self.file(repo)}"

    def file(self, repo: str) -> str:
        return GGUF_FILE if repo == GGUF else OTHER_FILE

    def fetch(self, repo: str) -> None:
        self.ramalama("pull", self.name(repo))

    def names(self) -> list[str]:
        return [entry["name"] for entry in json.loads(self.ramalama("ls", "--json"))]

    def load(self, repo: str) -> dict[str, str]:
        # It has no engine here; what one would be given is the file of the snapshot.
        files = [path for path in self.folder.rglob(self.file(repo)) if "snapshots" in path.parts]
        return {self.file(repo): sha256(files[0])}

    def remove(self, repo: str) -> None:
        self.ramalama("rm", self.name(repo))

    def take(self, path: Path) -> None:
        name = f"file://{path}"
        self.ramalama("pull", name)
        assert len(self.names()) == 1
        files = [file for file in self.folder.rglob(path.name) if file.is_file()]
        assert {sha256(file) for file in files} == {sha256(path)}
        self.ramalama("rm", name)
        assert self.names() == []

    def acts(self, repo: str) -> list[Act]:
        return [("ramalama ls", self.names), ("ramalama pull over it", lambda: self.fetch(repo))]


DOWNLOAD_MODEL = """
import sys
from gpt4all import GPT4All
name, folder, address, size, again = sys.argv[1:]
try:
    GPT4All.retrieve_model(name, model_path=folder, allow_download=False)
except FileNotFoundError:
    again = "again"
if again:
    GPT4All.download_model(name, folder, verbose=False, url=address, expected_size=int(size))
"""
GENERATE = """
import sys
from gpt4all import GPT4All
model = GPT4All(sys.argv[1], model_path=sys.argv[2], allow_download=False, device="cpu", n_ctx=64, verbose=False)
list(model.generate("ab", max_tokens=3, temp=0, streaming=True))
"""


class Gpt4All(Program):
    app, environment, package, below_home = "gpt4all", "gpt4all", "gpt4all", ".cache/gpt4all"

    def name(self, repo: str) -> str:
        return GGUF_FILE if repo == GGUF else OTHER_FILE

    def fetch(self, repo: str, again: str = "") -> None:
        name = self.name(repo)
        size = (self.machine.files / repo / name).stat().st_size
        address = f"{self.machine.hub.url}/{repo}/resolve/main/{name}"
        self.python(DOWNLOAD_MODEL, name, self.folder, address, str(size), again)

    def acts(self, repo: str) -> list[Act]:
        return [("a download over it", lambda: self.fetch(repo, "again"))]

    def names(self) -> list[str]:
        # What the binding would load from its folder; its own list is a page of the project.
        return [path.name for path in self.folder.glob("*.gguf") if path.exists()]

    def load(self, repo: str) -> dict[str, str]:
        self.python(GENERATE, self.name(repo), self.folder)
        return {self.name(repo): sha256(self.folder / self.name(repo))}

    def remove(self, repo: str) -> None:
        (self.folder / self.name(repo)).unlink()


class GitLfs(Program):
    app, environment, package, below_home = "git-lfs", "", "git-lfs", "clone"

    @classmethod
    def version(cls) -> str:
        import subprocess

        return subprocess.run(["git", "lfs", "version"], capture_output=True, text=True, check=True).stdout.split()[0].split("/")[1]

    def git(self, *arguments: str | Path, folder: Path | None = None, **environment: str) -> str:
        author = {f"GIT_{who}_{what}": "a@b.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return self.machine.run("git", *arguments, cwd=folder or self.folder, **author, **environment)

    def prepare(self) -> None:
        """A clone that has fetched no content."""
        origin = self.machine.home / "origin"
        origin.mkdir()
        self.git("init", "-q", "-b", "main", folder=origin)
        self.git("lfs", "install", "--local", folder=origin)
        self.git("lfs", "track", "*.gguf", folder=origin)
        for repo in (GGUF, OTHER):
            shutil.copy(self.machine.files / repo / self.name(repo), origin)
        self.git("add", "-A", folder=origin)
        self.git("commit", "-qm", "models", folder=origin)
        self.git("clone", "-q", f"file://{origin}", self.folder, folder=self.machine.home, GIT_LFS_SKIP_SMUDGE="1")
        self.git("lfs", "install", "--local")
        self.machine.ours("apps", "add", "git-lfs", self.folder)

    def name(self, repo: str) -> str:
        return GGUF_FILE if repo == GGUF else OTHER_FILE

    def fetch(self, repo: str) -> None:
        self.git("lfs", "fetch", "-I", self.name(repo))

    def names(self) -> list[str]:
        """The files whose content is in the clone: a checkout without a remote gives them."""
        listed = [line.split(" ", 2) for line in self.git("lfs", "ls-files", "--long").splitlines()]
        objects = self.folder / ".git/lfs/objects"
        return [name for digest, _, name in listed if (objects / digest[:2] / digest[2:4] / digest).exists()]

    def show_pointer(self, name: str) -> None:
        (self.folder / name).unlink()
        self.git("checkout", "--", name, GIT_LFS_SKIP_SMUDGE="1")

    def load(self, repo: str) -> dict[str, str]:
        name = self.name(repo)
        self.show_pointer(name)
        self.git("-c", "lfs.url=file:///nowhere", "lfs", "checkout", name)
        return {name: sha256(self.folder / name)}

    def remove(self, repo: str) -> None:
        """A file that is checked out would become an object again when git next looks at it."""
        self.show_pointer(self.name(repo))
        self.git("-c", "lfs.fetchexclude=*", "lfs", "prune", "--force")

    def acts(self, repo: str) -> list[Act]:
        return [
            ("git lfs ls-files", lambda: self.git("lfs", "ls-files")),
            # Of the other model there is no content, which would be an error.
            ("git lfs fsck", lambda: self.git("-c", f"lfs.fetchexclude={self.name(self.other)}", "lfs", "fsck", "--objects")),
            ("git lfs prune", lambda: self.git("lfs", "prune")),
            ("git lfs fetch over it", lambda: self.fetch(repo)),
        ]


PROGRAMS: dict[str, type[Program]] = {
    "huggingface_hub-0.36": HuggingFace036,
    "huggingface_hub-1.0": HuggingFace100,
    "huggingface_hub-1": HuggingFace1,
    "huggingface_hub-2.4": HuggingFace24,
    "huggingface_hub-2.4 (shared)": HuggingFaceShared,
    "llama.cpp (xllamacpp)": LlamaCpp,
    "transformers": Transformers,
    "ramalama": RamaLama,
    "gpt4all": Gpt4All,
    "git-lfs": GitLfs,
}

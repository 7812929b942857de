"""Arguments, variables and the settings file: what the command line looks at, the package looks at."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import model_manager
from conftest import MakeHub, model, write_registry
from hub import gguf
from model_manager import AuthError, CancelToken, Manager, ModelManager, ModelManagerError, NetworkError, UsageError

FILE = "a.Q4_K_M.gguf"
REPO = "test/test-model-gguf"


def test_the_settings_file_counts_below_variables_and_those_below_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    write_registry({})
    Path("configs/manager.yaml").write_text("models_dir: from-file\nstore: store-of-file\n")
    Path("deep").mkdir()
    root = Path.cwd()
    monkeypatch.chdir("deep")
    manager = Manager()
    assert (manager.models_dir, manager.store_dir, manager.project_root) == (root / "from-file", root / "store-of-file", root)
    monkeypatch.setenv("MODEL_MANAGER_MODELS_DIR", "from-variable")
    monkeypatch.setenv("MODEL_MANAGER_STORE", "~/store")
    manager = Manager()
    assert (manager.models_dir, manager.store_dir) == (root / "deep/from-variable", Path.home() / "store")
    manager = Manager("from-argument", store="store")
    assert (manager.models_dir, manager.store_dir) == (Path("from-argument"), Path("store"))


def test_an_argument_is_the_users_word_about_places(tmp_path: Path) -> None:
    write_registry({})
    outside = tmp_path / "outside"
    outside.mkdir()
    Path("configs/manager.yaml").write_text(f"models_dir: '{outside}'\n")
    Path("models").symlink_to(outside)
    with pytest.raises(UsageError, match="leads out of the project") as refused:
        ModelManager()
    assert f"add `{outside}` to `allowed_places` in the user's settings file" in str(refused.value.hint)
    assert ModelManager(models_dir="models").models_dir == Path("models")
    assert ModelManager(models_dir=outside, config_path="configs/models.yaml").models_dir == outside
    assert Manager("models", store=outside / "store").store_dir == outside / "store"


def test_an_argument_names_who_sees_the_token(
    hub: MakeHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = hub({REPO: {FILE: gguf()}}, "--token", f"hf_secret={REPO}", "--gated", REPO)
    write_registry({})
    Path("configs/manager.yaml").write_text(f"endpoints: '{server.url}'\n")
    monkeypatch.delenv("HF_ENDPOINT")
    with pytest.raises(AuthError):
        Manager(token="hf_secret").download(f"{REPO}:q4_k_m")
    assert f"add `{server.url}` to `trusted_endpoints` in the user's settings file" in caplog.text
    assert Manager(token="hf_secret", endpoint=server.url).download(f"{REPO}:q4_k_m").download_bytes


def test_a_project_cannot_name_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    write_registry({})
    Path("configs/manager.yaml").write_text("ca_file: ca.pem\n")
    with pytest.raises(UsageError, match="a project may not set `ca_file`"):
        ModelManager()


def test_a_named_registry_brings_its_project() -> None:
    write_registry({}, Path("other/configs/models.yaml"))
    manager = ModelManager(config_path="other/configs/models.yaml")
    assert manager.config_path == Path("other/configs/models.yaml")
    assert (manager.models_dir, manager.project_root) == (Path.cwd() / "other/models", Path.cwd() / "other")


def test_a_slip_in_the_settings_file_names_its_line() -> None:
    write_registry({})
    Path("configs/manager.yaml").write_text("# mine\nstorr: x\n")
    with pytest.raises(UsageError, match="manager.yaml:2:1") as slip:
        ModelManager()
    assert "store" in str(slip.value)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_variables(variable: str, hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    server = hub({REPO: {FILE: gguf()}})
    monkeypatch.setenv(variable, "1")
    with pytest.raises(NetworkError):
        Manager().download(f"{REPO}:q4_k_m")
    assert server.requests() == 0
    assert Manager(offline=False).download(f"{REPO}:q4_k_m").download_bytes
    monkeypatch.setenv(variable, "perhaps")
    with pytest.raises(UsageError, match=variable):
        Manager()


@pytest.mark.parametrize("place", ["HF_HOME", "XDG_CACHE_HOME", "HOME"])
def test_a_saved_token_is_found_where_the_command_finds_it(
    place: str, hub: MakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub({REPO: {FILE: gguf()}}, "--token", f"hf_secret={REPO}", "--gated", REPO)
    folder = tmp_path / "saved"
    monkeypatch.setenv(place, str(folder))
    folder /= {"HF_HOME": "", "XDG_CACHE_HOME": "huggingface", "HOME": ".cache/huggingface"}[place]
    folder.mkdir(parents=True)
    (folder / "token").write_text("hf_secret\n")
    assert Manager().download(f"{REPO}:q4_k_m").download_bytes
    with pytest.raises(AuthError):
        Manager("other", token="", no_local=True).download(f"{REPO}:q4_k_m")


def test_a_saved_token_that_cannot_be_used_is_worth_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    (tmp_path / "token").write_text("hf_secret hf_other")
    Manager()
    assert "hf auth login" in caplog.text and "hf_secret" not in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [
        {"endpoint": "huggingface.co"},
        {"endpoint": []},
        {"endpoint": "ftp://huggingface.co"},
        {"connections": 0},
        {"connections": 1000},
        {"limit_rate": 0},
        {"link": "wormhole"},
        {"lock_timeout": -1},
        {"lock_timeout": math.nan},
        {"lock_timeout": 1e300},
        {"token": "two\nlines"},
        {"models_dir": ""},
        {"store": ""},
        {"config_path": ""},
        {"config_path": "nowhere.yaml"},
        {"config_path": "."},
    ],
)
def test_values_that_make_no_sense(arguments: dict[str, Any]) -> None:
    with pytest.raises(ModelManagerError) as wrong:
        Manager(**arguments)
    assert "bug" not in str(wrong.value)
    assert "two\nlines" not in str(wrong.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"models_dir": 5},
        {"models_dir": b"models"},
        {"config_path": ["x"]},
        {"store": 1.5},
        {"endpoint": 5},
        {"endpoint": [5]},
        {"token": 5},
        {"offline": "yes"},
        {"link": 5},
        {"connections": "four"},
        {"connections": -1},
        {"connections": 2**70},
        {"limit_rate": "fast"},
        {"limit_rate": -5},
        {"lock_timeout": "soon"},
    ],
)
def test_values_of_a_wrong_type_name_the_argument(arguments: dict[str, Any]) -> None:
    with pytest.raises((TypeError, OverflowError), match=next(iter(arguments))):
        Manager(**arguments)


NAMES: list[Any] = ["", " ", "../x", "a/../b", "/etc/passwd", "a\0b", "x" * 5000, "id:", ":q4", "hf://", "https://", "ü\ud800"[:1], "🦙", "a:b:c"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_none(name: str) -> None:
    manager = ModelManager(offline=True)
    for call in (manager.plan, manager.download, manager.path, manager.remove, manager.verify, manager.info, manager.repair):
        with pytest.raises(ModelManagerError) as wrong:
            call(name)
        assert "bug" not in str(wrong.value)
    assert manager.download_model(name) is None
    assert manager.get_model_path(name) is None
    assert not manager.remove_model(name)
    assert not manager.verify_model("no" + name[:100].replace("\0", ""))


@pytest.mark.parametrize("value", [5, None, b"a", ["a"], 1.5, object()])
def test_names_of_a_wrong_type(value: Any) -> None:
    manager: Any = ModelManager(offline=True)
    for call in (manager.plan, manager.download, manager.path, manager.remove):
        with pytest.raises(TypeError):
            call(value)
    for call in (manager.verify, manager.info, manager.repair):
        if value is not None:
            with pytest.raises(TypeError):
                call(value)
    for call in (manager.why, manager.forget_project, manager.sha256):
        with pytest.raises(TypeError):
            call(value)


def test_other_arguments_that_make_no_sense() -> None:
    manager: Any = Manager(offline=True)
    nonsense: list[Callable[[], object]] = [
        lambda: manager.download("phi-2", format="a/b"),
        lambda: manager.download("phi-2", quant=".."),
        lambda: manager.download("phi-2", revision="../x"),
        lambda: manager.list("a/b"),
        lambda: manager.verify(mode="slow"),
        lambda: manager.verify(quant="q4_k_m"),
        lambda: manager.lock(["phi-2", ""]),
        lambda: manager.add("a/b", id="../x"),
        lambda: manager.add("a/b", description="two\nlines"),
        lambda: manager.use("phi-2", "llama"),
        lambda: manager.use("phi-2", "vllm", file=""),
        lambda: manager.init(shared=True, group="no such group"),
        lambda: manager.gc(grace=-1),
        lambda: manager.gc(partials=math.inf),
        lambda: manager.why(""),
        lambda: manager.why("a\0b"),
        lambda: manager.sha256("a\0b"),
        lambda: manager.sha256("nowhere"),
        lambda: manager.sha256("."),
        lambda: manager.sha256("x" * 5000),
    ]
    for call in nonsense:
        with pytest.raises(ModelManagerError) as wrong:
            call()
        assert "bug" not in str(wrong.value)
    wrong_types: list[Callable[[], object]] = [
        lambda: manager.download("phi-2", progress=5),
        lambda: manager.download("phi-2", cancel=5),
        lambda: manager.download("phi-2", force="no"),
        lambda: manager.download("phi-2", quant=4),
        lambda: manager.list(5),
        lambda: manager.lock(5),
        lambda: manager.lock([5]),
        lambda: manager.sync(quick="no"),
        lambda: manager.add(5),
        lambda: manager.add("a/b", id=5),
        lambda: manager.use(5, "vllm"),
        lambda: manager.use("phi-2", 5),
        lambda: manager.use("phi-2", "vllm", file=5),
        lambda: manager.init(shared=True, group=5),
        lambda: manager.gc(grace="1h"),
        lambda: manager.doctor(full=1.5),
    ]
    for call in wrong_types:
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("registry", ["5", "[]", "models: 5", "models: [a]", "models: {a: 5}", "models: {a: {formats: 5}}", "\0", "a: &a [*a]", ""])
def test_registries_that_are_none(registry: str) -> None:
    Path("models.yaml").write_text(registry)
    manager = ModelManager(config_path="models.yaml")
    assert manager.download_model("a") is None
    assert manager.list_models() == []
    manager.registry = {"models": {5: object()}}
    with pytest.raises(ModelManagerError):
        manager.download("a")


def test_a_file_where_a_folder_should_be(hub: MakeHub) -> None:
    hub({REPO: {FILE: gguf()}})
    write_registry({"test-model": model(FILE)})
    Path("models").write_text("a file")
    with pytest.raises(ModelManagerError):
        Manager().download("test-model")
    with pytest.raises((ModelManagerError, FileExistsError)):
        ModelManager()


def test_what_is_public_can_be_found() -> None:
    assert {"events", "results", "tqdm_progress"} <= set(dir(model_manager))
    with pytest.raises(AttributeError, match="nothing"):
        getattr(model_manager, "nothing")
    with pytest.raises(TypeError):
        CancelToken(5)  # type: ignore[call-arg]

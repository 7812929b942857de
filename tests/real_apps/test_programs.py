"""The same questions to every program: does it keep us from nothing, and we it from nothing?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from machine import Machine, seen
from programs import ELSEWHERE, PROGRAMS, Program

Get = Callable[[], Program]


def adopt(program: Program) -> list[str]:
    """Adopts what the program has; the hashes of the files."""
    answer = program.machine.ours("adopt", "--from", program.app)
    assert answer["problems"] == []
    return [file["sha256"] for model in answer["models"] for file in model["files"]]


def expose(program: Program) -> list[str]:
    """Downloads the model without the program, and exposes it."""
    answer = program.machine.ours("download", program.repo, "--no-apps")
    digests = [file["sha256"] for file in answer["models"][0]["files"]]
    program.machine.ours("expose", program.repo.replace("/", "--"), "--to", program.expose_to)
    return digests


def with_exposures(program: Program) -> Program:
    if not program.takes_exposures:
        pytest.skip(f"expose is refused: {program.app} takes files by a command of its own")
    return program


def test_apps_shows_it_and_adopt_takes_it_without_a_copy(program: Program) -> None:
    machine = program.machine
    program.fetch(program.repo)
    before, sent = seen(program.folder), machine.hub.content_bytes()
    (report,) = [app for app in machine.ours("apps")["apps"] if app["app"] == program.app]
    assert report["problems"] == [] and len(report["models"]) == 1, report
    answer = machine.ours("adopt", "--from", program.app)
    wanted = {digest for name, digest in program.wanted(program.repo).items()}
    assert answer["problems"] == [] and {file["sha256"] for model in answer["models"] for file in model["files"]} == wanted
    assert answer["totals"]["copied_bytes"] == 0 and answer["totals"]["total_bytes"] == answer["totals"]["shared_bytes"]
    assert seen(program.folder) == before
    assert machine.hub.content_bytes() == sent
    machine.assert_kept(sorted(wanted), "adopted")
    assert program.load(program.repo) == program.wanted(program.repo)


def test_what_was_adopted_survives_all_that_it_does(program: Program) -> None:
    program.fetch(program.repo)
    digests = adopt(program)
    for name, act in program.acts(program.repo):
        act()
        program.machine.assert_kept(digests, name)
    assert program.load(program.repo) == program.wanted(program.repo)
    program.machine.assert_kept(digests, "loaded")
    program.remove(program.repo)
    assert program.name(program.repo) not in program.names()
    program.machine.assert_kept(digests, "removed")
    program.fetch(program.repo)
    program.machine.assert_kept(digests, "fetched anew")


def test_a_download_takes_it_from_the_program(program: Program) -> None:
    machine = program.machine
    program.fetch(program.repo)
    before, sent = seen(program.folder), machine.hub.content_bytes()
    digests = [file["sha256"] for file in machine.ours("download", program.repo)["models"][0]["files"]]
    large = [file for file in program.wanted(program.repo) if file.endswith((".gguf", ".safetensors"))]
    fetched = machine.hub.content_bytes() - sent
    assert fetched < min((machine.files / program.repo / name).stat().st_size for name in large), fetched
    assert seen(program.folder) == before
    machine.assert_kept(digests, "downloaded")


def test_what_is_exposed_is_listed_and_loaded(program: Program) -> None:
    digests = expose(with_exposures(program))
    sent = program.machine.hub.content_bytes()
    assert program.name(program.repo) in program.names()
    assert program.load(program.repo) == program.wanted(program.repo)
    program.fetch(program.repo)
    assert program.machine.hub.content_bytes() == sent, "it fetched what is there"
    program.machine.assert_kept(digests, "loaded and fetched over")


def test_what_is_exposed_survives_all_that_it_does(program: Program) -> None:
    digests = expose(with_exposures(program))
    for name, act in program.acts(program.repo):
        act()
        program.machine.assert_kept(digests, name)
    program.remove(program.repo)
    assert program.name(program.repo) not in program.names()
    program.machine.assert_kept(digests, "removed")
    program.machine.ours("expose", program.repo.replace("/", "--"), "--to", program.expose_to)
    assert program.load(program.repo) == program.wanted(program.repo)
    program.machine.ours("unexpose")
    assert program.name(program.repo) not in program.names()
    program.machine.assert_kept(digests, "taken back")


def test_what_it_takes_by_its_own_command_stays_ours(program: Program) -> None:
    if program.takes_exposures:
        pytest.skip("exposures do that")
    machine = program.machine
    answer = machine.ours("download", program.repo, "--no-apps")
    machine.ours("expose", program.repo.replace("/", "--"), "--to", program.app, fails=True)
    program.take(machine.project / machine.ours("path", program.repo)["paths"][0]["path"])
    machine.assert_kept([file["sha256"] for file in answer["models"][0]["files"]], "taken and removed")


def test_its_own_files_are_as_they_were(program: Program) -> None:
    program.fetch(program.other)
    before = seen(program.folder)
    digests = expose(with_exposures(program))
    assert program.load(program.repo) == program.wanted(program.repo)
    assert program.load(program.other) == program.wanted(program.other)
    loaded = {name: what for name, what in seen(program.folder).items() if name in before}
    assert program.app == "git-lfs" or loaded == before
    before = loaded
    program.machine.ours("unexpose")
    after = seen(program.folder)
    assert {name: after.get(name) for name in before} == before
    assert program.name(program.repo) not in program.names()
    assert program.load(program.other) == program.wanted(program.other)
    program.machine.assert_kept(digests, "taken back")


@pytest.mark.parametrize("app", ELSEWHERE)
def test_not_run_here(app: str) -> None:
    pytest.skip(ELSEWHERE[app])


def test_every_program_has_an_environment() -> None:
    assert all(program.version() for program in PROGRAMS.values())


def test_the_machine_sees_what_changes(machine: Machine) -> None:
    """The look at a folder that all of this relies on."""
    folder = machine.home / "folder"
    folder.mkdir()
    (folder / "a").write_text("a")
    before = seen(folder)
    (folder / "b").write_text("a")
    (folder / "b").rename(folder / "a")
    assert seen(folder).keys() == before.keys() and seen(folder) != before

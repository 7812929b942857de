from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from machine import ENVIRONMENTS, Machine
from programs import PROGRAMS, Program

RESULTS: dict[str, dict[str, str]] = {}
QUESTIONS: list[str] = []


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "program" in metafunc.fixturenames:
        metafunc.parametrize("program", PROGRAMS, indirect=True)


@pytest.fixture
def program(machine: Machine, request: pytest.FixtureRequest) -> Program:
    program = PROGRAMS[request.param](machine)
    program.prepare()
    return program


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    name, bracket, program = report.nodeid.partition("[")
    is_end = report.when == "call" or (report.when == "setup" and report.outcome != "passed")
    if bracket and is_end and program[:-1] in PROGRAMS:
        question = name.rsplit("::test_", 1)[-1].replace("_", " ")
        if question not in QUESTIONS:
            QUESTIONS.append(question)
        words = {"passed": "yes", "failed": "NO", "skipped": "-"}
        RESULTS.setdefault(program[:-1], {})[question] = words[report.outcome]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of docs/apps.md."""
    if not RESULTS:
        return
    rows = [["program", *QUESTIONS]]
    for program, answers in RESULTS.items():
        rows.append([f"{program}: {PROGRAMS[program].version()}", *(answers.get(question, "-") for question in QUESTIONS)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    (ENVIRONMENTS / "results.md").write_text("\n".join(lines) + "\n")
    for line in lines:
        terminalreporter.write_line(line)

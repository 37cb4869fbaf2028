"""The environment step, with real uv and real packages: what is installed, and how often."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from runhook.runner.environment import Prepared
from runhook.runner.interpreters import Interpreter, find_interpreter, fits, own_interpreter
from runhook.runner.process import Exit
from runhook.runner.report import StepFailed
from runhook.runner.resolution import base_requirements
from runhook.runner.spec import EnvironmentRequest, Places
from runhook.runner.uv import Uv, environment, failure
from tests.runner.steps import Attempt, Attempts, stop_once_it_hears
from tests.runner.wheels import make_wheel

OWN = ".".join(map(str, sys.version_info[:2]))


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What uv has fetched; all tests share it."""
    return tmp_path_factory.mktemp("uv")


@pytest.fixture
def attempts(tmp_path: Path, downloads: Path) -> Attempts:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "uv").symlink_to(downloads)
    return Attempts(tmp_path, Places(cache=str(cache)))


@pytest.fixture
def uv(attempts: Attempts) -> Iterator[Uv]:
    with attempts.new().running() as (reporter, control):
        yield Uv(attempts.places, reporter, control)


def asking(attempts: Attempts, text: str = "", **more: object) -> Attempt:
    request = EnvironmentRequest(requirements=text, **more)  # type: ignore[arg-type]
    return attempts.new(environment=request)


def with_file(attempts: Attempts, name: str, text: str, request: str = "") -> Attempt:
    attempt = asking(attempts, request, file=name)
    path = attempt.workspace / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return attempt


def run(prepared: Prepared, *words: str, cwd: Path | None = None) -> str:
    """Run a program with the environment's variables alone; what it wrote."""
    variables = {"HOME": "/nonexistent", **prepared.variables}
    ended = subprocess.run(
        words, env=variables, cwd=cwd, capture_output=True, text=True, check=True
    )
    return ended.stdout.strip()


def version_of(prepared: Prepared, module: str) -> str:
    code = f"from importlib.metadata import version; print(version({module!r}))"
    return run(prepared, "python", "-c", code)


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, the test fails if uv is wanted."""

    def refuse() -> str:
        raise AssertionError("uv was wanted")

    monkeypatch.setattr("runhook.runner.uv.program", refuse)


def test_a_notebook_is_executed_with_nothing_but_the_base(attempts: Attempts) -> None:
    attempt = asking(attempts)
    prepared = attempt.prepare()
    assert not prepared.cached
    assert attempt.log == ""
    cell = {"cell_type": "code", "source": "print(6 * 7)", "metadata": {}, "outputs": []}
    notebook = {"cells": [{**cell, "execution_count": None}], "metadata": {}}
    path = attempt.workspace / "n.ipynb"
    path.write_text(json.dumps({**notebook, "nbformat": 4, "nbformat_minor": 4}))
    words = "jupyter nbconvert --to notebook --execute n.ipynb --output out"
    run(replace(prepared, variables={**prepared.variables, "HOME": str(attempt.directory)}),
        *words.split(), cwd=attempt.workspace)  # fmt: skip
    (done,) = json.loads((attempt.workspace / "out.ipynb").read_text())["cells"]
    assert done["outputs"][0]["text"] == ["42\n"]
    assert all(line in prepared.lock for line in base_requirements().splitlines() if "==" in line)


def test_the_second_start_finds_it_without_a_process(
    attempts: Attempts, request: pytest.FixtureRequest
) -> None:
    first = asking(attempts, "six").prepare()
    request.getfixturevalue("no_process")
    attempt = asking(attempts, "six")
    second = attempt.prepare()
    assert second == replace(first, cached=True)
    assert attempt.reports("environment") == [{"key": first.key, "cached": True}]
    assert (attempt.directory / "lock.txt").read_text() == first.lock
    assert second.python.is_relative_to(attempts.root / "cache" / "environments" / first.key)


def test_requests_that_come_to_the_same_packages_share_an_environment(attempts: Attempts) -> None:
    first = asking(attempts, "six==1.17.0").prepare()
    second = asking(attempts, "six >= 1.17, < 1.18\n").prepare()
    assert (second.key, second.cached) == (first.key, True)


def test_starts_that_come_together_make_it_once(attempts: Attempts) -> None:
    together = [asking(attempts, "six") for _ in range(3)]
    processes = [attempt.start("environment") for attempt in together]
    assert [process.communicate()[1] for process in processes] == [b""] * 3
    cached = [attempt.reports("environment")[0]["cached"] for attempt in together]
    assert sorted(cached) == [False, True, True]


def test_a_stop_ends_an_attempt_that_waits_for_another(attempts: Attempts) -> None:
    key = asking(attempts, "six").prepare().key
    folder = attempts.root / "cache" / "environments"
    (folder / key / "complete").unlink()
    with open(folder / f"{key}.lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = asking(attempts, "six").start("environment")
        assert b"Stopped" in stop_once_it_hears(process)


def test_what_was_cut_off_is_made_anew(attempts: Attempts) -> None:
    prepared = asking(attempts, "six").prepare()
    folder = prepared.python.parent.parent.parent
    (folder / "complete").unlink()
    shutil.rmtree(folder / "venv" / "bin")
    (folder / "venv" / "left-over").touch()
    again = asking(attempts, "six").prepare()
    assert (again.key, again.cached) == (prepared.key, False)
    assert version_of(again, "six").startswith("1.")
    assert not (folder / "venv" / "left-over").exists()


def test_an_attempt_that_is_killed_at_any_moment_leaves_a_cache_that_works(
    attempts: Attempts,
) -> None:
    asking(attempts, "six").prepare()
    for part in range(3):
        for name in ("environments", "resolutions"):
            shutil.rmtree(attempts.root / "cache" / name)
        process = asking(attempts, "six").start("environment")
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2 + part * 0.25)
        process.kill()
        process.communicate()
        assert version_of(asking(attempts, "six").prepare(), "six").startswith("1.")


def test_versions_that_the_job_asks_for_win_over_the_base(attempts: Attempts) -> None:
    attempt = asking(attempts, "nbconvert==7.16.6")
    prepared = attempt.prepare()
    assert version_of(prepared, "nbconvert") == "7.16.6"
    assert "ipykernel==" in prepared.lock
    assert attempt.log == ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("runhook-no-such-package-here", "because runhook-no-such-package-here was not found"),
        ("six==99", "because there is no version of six==99"),
        ("six==1.16.0\nsix==1.17.0", "because you require six==1.16.0 and six==1.17.0$"),
        ("six ???", "cannot resolve the packages because uv failed: Couldn't parse requirement"),
    ],
)
def test_what_cannot_be_resolved_fails_with_a_sentence_and_uvs_words_in_the_log(
    attempts: Attempts, text: str, sentence: str
) -> None:
    attempt = asking(attempts, text)
    with pytest.raises(StepFailed, match=sentence):
        attempt.prepare()
    assert attempt.log.count("error: ") == 1


def test_a_failed_installation_fails_with_a_sentence_and_is_tried_again(
    attempts: Attempts,
) -> None:
    broken = asking(attempts, lock="six==99\n")
    for _ in range(2):
        with pytest.raises(StepFailed, match="cannot install the packages because"):
            broken.prepare()


def test_an_index_that_does_not_answer_is_said_to_be_the_cause() -> None:
    words = """error: Request failed after 3 retries in 9.7s
  cause: Failed to fetch: http://user:secret@index.example/simple/six/
  cause: error sending request for url (http://user:secret@index.example/simple/six/)
  cause: Connection refused (os error 111)
"""
    reason = failure("resolve the packages", Exit(2, None, words)).reason
    assert reason == (
        "cannot resolve the packages because the package index cannot be reached: "
        "Failed to fetch: http://index.example/simple/six/, Connection refused (os error 111)"
    )


def test_a_requirements_file_is_followed_with_what_it_includes(attempts: Attempts) -> None:
    first = with_file(attempts, "materials/requirements.txt", "-r more/others.in\n")
    (first.workspace / "materials" / "more").mkdir()
    (first.workspace / "materials" / "more" / "others.in").write_text("six==1.16.0\n")
    assert version_of(first.prepare(), "six") == "1.16.0"
    second = with_file(attempts, "materials/requirements.txt", "-r more/others.in\n")
    (second.workspace / "materials" / "more").mkdir()
    (second.workspace / "materials" / "more" / "others.in").write_text("six==1.17.0\n")
    assert version_of(second.prepare(), "six") == "1.17.0"


def test_a_file_and_the_jobs_own_list_are_put_together(attempts: Attempts) -> None:
    prepared = with_file(attempts, "requirements.txt", "six\n", "iniconfig").prepare()
    assert version_of(prepared, "six")
    assert version_of(prepared, "iniconfig")


PROJECT = f"""[project]
name = "example"
version = "1"
requires-python = ">={OWN}"
dependencies = ["six==1.16.0"]
[dependency-groups]
dev = ["iniconfig"]
"""
UV_LOCK_PROJECT = PROJECT.replace("==1.16.0", "")


def test_a_projects_dependencies_are_installed_and_not_the_project(attempts: Attempts) -> None:
    prepared = with_file(attempts, "p/pyproject.toml", PROJECT).prepare()
    assert version_of(prepared, "six") == "1.16.0"
    assert "example" not in prepared.lock
    assert "iniconfig" not in prepared.lock


def test_a_uv_lock_is_installed_as_it_stands(
    attempts: Attempts, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(PROJECT)
    words = ["lock", "--quiet", "--python", sys.executable, "--no-config"]
    subprocess.run([shutil.which("uv") or _uv(), *words], cwd=project, check=True)
    # The project is freer than its lock, so that following the lock can be seen.
    lock = (project / "uv.lock").read_text().replace('specifier = "==1.16.0"', "")

    def attempt() -> Attempt:
        made = with_file(attempts, "p/uv.lock", lock)
        (made.workspace / "p" / "pyproject.toml").write_text(UV_LOCK_PROJECT)
        return made

    prepared = attempt().prepare()
    assert version_of(prepared, "six") == "1.16.0"
    assert "iniconfig" not in prepared.lock
    request.getfixturevalue("no_process")
    assert attempt().prepare().cached


def _uv() -> str:
    from uv import find_uv_bin

    return os.fspath(find_uv_bin())


def test_a_script_says_what_it_needs(attempts: Attempts) -> None:
    script = (
        f'# /// script\n# requires-python = ">={OWN}"\n# dependencies = ["six==1.16.0"]\n# ///\n'
    )
    prepared = with_file(attempts, "job.py", script + "import six\n").prepare()
    assert version_of(prepared, "six") == "1.16.0"


def test_a_python_that_the_file_asks_for_and_is_not_here_is_named(attempts: Attempts) -> None:
    script = '# /// script\n# requires-python = ">=3.99"\n# dependencies = []\n# ///\n'
    with pytest.raises(
        StepFailed, match=r"there is no Python >=3.99 on this machine; found are 3\."
    ):
        with_file(attempts, "job.py", script).prepare()


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("job.py", "print()\n", "job.py has no '# /// script' blocks"),
        ("job.py", "# /// script\n# x = \n# ///\n", "the block of job.py because it is not TOML"),
        ("pyproject.toml", "[", "cannot read the pyproject.toml because it is not TOML"),
        ("uv.lock", "", "there is no pyproject.toml beside"),
        ("requirements.txt", "./lib\n", "cannot install from the folder in './lib'"),
        ("requirements.txt", "-e ./lib\n", "cannot install from the folder in '-e ./lib'"),
    ],
)
def test_a_file_that_cannot_be_used_fails_with_a_sentence(
    attempts: Attempts, name: str, text: str, sentence: str
) -> None:
    attempt = with_file(attempts, name, text)
    (attempt.workspace / "lib").mkdir()
    (attempt.workspace / "lib" / "pyproject.toml").write_text(PROJECT)
    with pytest.raises(StepFailed, match=sentence):
        attempt.prepare()


def test_a_file_that_leads_out_of_the_workspace_is_refused(
    attempts: Attempts, tmp_path: Path
) -> None:
    (tmp_path / "outside.txt").write_text("six\n")
    attempt = asking(attempts, file="requirements.txt")
    (attempt.workspace / "requirements.txt").symlink_to(tmp_path / "outside.txt")
    for name in ("requirements.txt", "../../../outside.txt"):
        request = replace(attempt.spec.environment, file=name)
        with pytest.raises(StepFailed, match="leads out of the workspace"):
            replace(attempt, spec=replace(attempt.spec, environment=request)).prepare()


def test_a_file_that_is_not_there_is_named(attempts: Attempts) -> None:
    with pytest.raises(StepFailed, match="there is no environment file requirements.txt"):
        asking(attempts, file="requirements.txt").prepare()


def test_a_new_version_is_taken_only_where_every_start_resolves(
    attempts: Attempts, tmp_path: Path
) -> None:
    text = f"--find-links {tmp_path}/wheels\ntinypart"
    make_wheel(tmp_path / "wheels", "1.0")
    first = asking(attempts, text, refresh="always").prepare()
    assert version_of(asking(attempts, text).prepare(), "tinypart") == "1.0"
    again = asking(attempts, text, refresh="always").prepare()
    assert (again.key, again.cached) == (first.key, True)
    make_wheel(tmp_path / "wheels", "2.0")
    assert version_of(asking(attempts, text).prepare(), "tinypart") == "1.0"
    assert version_of(asking(attempts, text, refresh="always").prepare(), "tinypart") == "2.0"


def test_a_lock_is_installed_as_it_stands(attempts: Attempts) -> None:
    lock = "iniconfig==2.0.0\n"
    attempt = asking(attempts, "six", lock=lock)
    prepared = attempt.prepare()
    assert version_of(prepared, "iniconfig") == "2.0.0"
    assert prepared.lock == lock
    with pytest.raises(subprocess.CalledProcessError):
        version_of(prepared, "six")
    assert asking(attempts, "other", lock=lock).prepare().cached


def test_nobodys_settings_reach_uv(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    assert version_of(asking(attempts, "six").prepare(), "six").startswith("1.")


def test_uv_gets_proxies_and_certificates_and_none_of_the_servers_secrets() -> None:
    server = {"PATH": "/bin", "HTTPS_PROXY": "p", "SSL_CERT_FILE": "c", "UV_X": "1", "PIP_X": "1",
              "CONDA_PREFIX": "x", "RUNHOOK_DATABASE_URL": "postgresql://u:secret@h/d"}  # fmt: skip
    places = Places(cache="/c", index_url="https://index.example/simple")
    given = environment(server, places)
    assert given["HTTPS_PROXY"] == "p"
    assert given["SSL_CERT_FILE"] == "c"
    assert given["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    assert not given.keys() & {"UV_X", "PIP_X", "CONDA_PREFIX", "RUNHOOK_DATABASE_URL"}


@pytest.mark.parametrize(
    ("version", "wanted", "yes"),
    [
        ("3.12.4", "3.12", True),
        ("3.12.4", "3.1", False),
        ("3.12.4", "3.12.4", True),
        ("3.12.4", "3", True),
        ("3.12.4", ">=3.11,<3.13", True),
        ("3.13.0", ">=3.11,<3.13", False),
        ("3.12.4", "~=3.11", True),
    ],
)
def test_a_python_fits_a_version_or_a_range(version: str, wanted: str, yes: bool) -> None:
    assert fits(version, wanted) is yes


def test_the_servers_own_python_is_the_default_and_found_without_a_process(
    uv: Uv, no_process: None
) -> None:
    own = find_interpreter(uv, None)
    assert own == own_interpreter() == find_interpreter(uv, OWN)
    assert own.there()
    assert own.version.startswith(OWN)
    said = subprocess.run([own.path, "-V"], capture_output=True, text=True, check=True).stdout
    assert said.split()[1] == own.version
    assert Path(own.path).parent.parent == Path(sys.base_prefix).resolve()


def test_another_python_is_looked_for_once(monkeypatch: pytest.MonkeyPatch, uv: Uv) -> None:
    monkeypatch.setattr(
        "runhook.runner.interpreters.own_interpreter", lambda: Interpreter("/none", "3.0.0", 0)
    )
    found = find_interpreter(uv, OWN)
    assert found.version.startswith(f"{OWN}.")
    assert found.there()
    monkeypatch.setattr("runhook.runner.uv.program", lambda: "/nonexistent/uv")
    assert find_interpreter(uv, OWN) == found


def test_a_python_that_is_not_here_is_answered_with_those_that_are(attempts: Attempts) -> None:
    with pytest.raises(StepFailed, match=rf"no Python 3\.99 on .* found are .*{OWN}\..*: ask for"):
        asking(attempts, python="3.99").prepare()


def test_finding_an_environment_takes_a_few_milliseconds(attempts: Attempts) -> None:
    asking(attempts, "six").prepare()
    seconds = []
    for _ in range(5):
        attempt = asking(attempts, "six")
        began = time.perf_counter()
        attempt.prepare()
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.02

"""Nouns and rules, by their properties."""

import random
import subprocess
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runhook.model.environment import pip_requirements
from runhook.model.job import JobSpec
from runhook.model.place import place_of
from runhook.model.schedule import Schedule
from runhook.model.source import REFERENCE, Repository, check_url, default_folder, workspace_path

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@given(st.text(alphabet="./~ab\\\x00 é", max_size=20))
def test_a_workspace_path_never_leaves_the_workspace(text: str) -> None:
    try:
        path = workspace_path(text)
    except ValueError:
        return
    assert not path.startswith(("/", "~"))
    assert ".." not in path.split("/")


def test_the_compatible_roots_mean_the_workspace() -> None:
    assert workspace_path("/home/jovyan/workspace") == "."
    assert workspace_path("/home/jovyan/workspace/a/b/") == "a/b"
    assert workspace_path("/home/jovyan/git-repos/a") == "a"
    with pytest.raises(ValueError, match="relative"):
        workspace_path("/home/jovyan/workspaces")


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/materials.git",
        "https://h:8443/deep/er/materials",
        "ssh://git@h/materials.git",
        "git@github.com:acme/materials.git",
        "file:///srv/materials",
    ],
)
def test_the_folder_is_the_last_part_of_the_address(url: str) -> None:
    check_url(url)
    assert default_folder(url) == "materials"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "materials",
        "/srv/materials",
        "../materials",
        "ext::sh -c id",
        "--upload-pack=id",
        "-oProxyCommand=id@h:x",
        "ssh://-oProxyCommand=id/x",
        "https://user:word@h/x.git",
        "https://token@h/x.git",
        "https://h/x.git\nfoo",
        "https:///x.git",
        "https://h/",
        "https://h/..",
        "git@h:-x y",
        "ftp://h/x",
    ],
)
def test_a_hostile_or_useless_address_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        check_url(url)


@given(st.text(alphabet="ab-./@{~^:?*[\\ \x7fé", min_size=1, max_size=12))
def test_every_reference_that_is_accepted_is_one_to_git_and_no_option(name: str) -> None:
    if not REFERENCE.match(name):
        return
    assert not name.startswith("-")
    command = ["git", "check-ref-format", "--allow-onelevel", name]
    if name != "@" and "/." not in name and not name.startswith((".", "/")):
        assert subprocess.run(command, check=False).returncode == 0, name


@pytest.mark.parametrize(
    ("given_text", "lines"),
    [
        ("papermill", ["papermill"]),
        ("pandas >= 2, <3", ["pandas >= 2, <3"]),
        ("papermill pandas==2.0", ["papermill", "pandas==2.0"]),
        ("six # why\n\n# a comment\niniconfig", ["six", "iniconfig"]),
        ("x @ https://h.example/x.whl", ["x @ https://h.example/x.whl"]),
        ("git+https://h.example/x.git", ["git+https://h.example/x.git"]),
    ],
)
def test_a_pip_section_may_be_written_in_any_usual_way(given_text: str, lines: list[str]) -> None:
    assert [line for line in pip_requirements(given_text).splitlines() if line] == lines


@pytest.mark.parametrize("text", ["--index-url http://x", "-r other.txt", "a b !", "-e ."])
def test_options_in_a_pip_section_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"options|not a package"):
        pip_requirements(text)


def fires(count: int, after: datetime, **rule: str) -> list[datetime]:
    coming = Schedule(**rule).fires(after)  # type: ignore[arg-type]
    return [next(coming) for _ in range(count)]


def test_fires_are_later_and_later_in_every_zone() -> None:
    chance = random.Random(1)
    zones = sorted(available_timezones() - {"localtime"})
    for zone in chance.sample(zones, 120):
        after = NOON + timedelta(days=chance.randrange(-9000, 4000))
        for cron in ("30 2 * * *", "*/20 * * * *", "0 0 1 * *"):
            found = fires(6, after, cron=cron, zone=zone)
            assert found[0] > after, (zone, cron)
            assert found == sorted(set(found)), (zone, cron)


def test_the_change_days_fire_once() -> None:
    berlin = {"cron": "30 2 * * *", "zone": "Europe/Berlin"}
    spring = fires(3, datetime(2026, 3, 27, 12, tzinfo=UTC), **berlin)
    autumn = fires(3, datetime(2026, 10, 23, 12, tzinfo=UTC), **berlin)
    for found in (spring, autumn):
        days = [at.astimezone(ZoneInfo("Europe/Berlin")).date() for at in found]
        assert len(set(days)) == 3


def test_intervals_are_the_same_instants_for_everybody() -> None:
    (first,) = fires(1, NOON, cron="@every 4h")
    (again,) = fires(1, NOON + timedelta(seconds=17), cron="@every 4h")
    assert first == again


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 31 2 *", "@fortnightly", "@every 1s",
     "@every 4", "@every 400d", "x" * 250, "0 0 30 2 *", "*/0 * * * *"],
)  # fmt: skip
def test_a_rule_that_cannot_be_read_or_never_fires_is_refused(cron: str) -> None:
    with pytest.raises(ValidationError):
        Schedule(cron=cron)


@given(st.text(max_size=40))
def test_no_cron_text_does_worse_than_being_refused(cron: str) -> None:
    try:
        schedule = Schedule(cron=cron)
    except ValidationError:
        return
    assert schedule.next_fire(NOON) > NOON
    assert schedule.explain()


def test_two_repositories_cannot_stand_in_each_other() -> None:
    pairs = [("a/x", "b/x"), ("x", "x/y"), ("./x", "x")]
    for first, second in pairs:
        urls = [{"url": "https://h.example/a.git", "path": first.removeprefix("a/")}]
        urls.append({"url": "https://h.example/b.git", "path": second.removeprefix("b/")})
        with pytest.raises(ValidationError, match="two of them"):
            JobSpec.model_validate({"name": "x", "command": "true", "git_repositories": urls})


@pytest.mark.parametrize(
    ("prefix", "url", "covered"),
    [
        ("https://github.com/acme/", "https://github.com/acme/x.git", True),
        ("https://github.com/acme", "https://github.com/acme-evil/x.git", False),
        ("https://github.com", "https://github.com.evil.example/x.git", False),
        ("https://github.com", "http://github.com/x.git", False),
        ("https://github.com", "https://github.com:444/x.git", False),
        ("https://GitHub.com/", "https://github.com/x.git", True),
        ("git@github.com:", "git@github.com:acme/x.git", True),
        ("git@github.com:acme", "ssh://git@github.com/acme/x", True),
        ("ssh://git@h:2222/", "git@h:x.git", False),
    ],
)
def test_a_credential_covers_whole_parts_of_an_address_only(
    prefix: str, url: str, covered: bool
) -> None:
    assert place_of(prefix).covers(place_of(url)) is covered


def test_a_definition_comes_back_as_it_was_given() -> None:
    given_form = {
        "name": "x",
        "command": "true",
        "extra_packages": {"pip": {"install": "six"}},
        "git_repositories": [{"url": "https://h.example/a.git", "reference": None}],
        "schedule": "@daily",
        "start_script": None,
    }
    assert JobSpec.model_validate(given_form).recipe_spec() == given_form


def test_the_default_reference_is_the_remotes_own() -> None:
    assert Repository(url="https://h.example/a.git").reference is None


@pytest.mark.parametrize(
    "given_form",
    [
        {"url": "git@h.example:a\n"},
        {"url": "https://h.example\\@evil.example/a"},
        {"url": "https://h.example/a", "reference": "main\n"},
        {"url": "https://h.example/a", "reference": "abcdef0\n", "reference_type": "commit"},
    ],
)
def test_no_line_end_or_backslash_passes_for_part_of_an_address(given_form: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Repository.model_validate(given_form)

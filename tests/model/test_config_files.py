"""Which files a definition may place in the home of its runs."""

from typing import Any

import pytest

from runhook.errors import Invalid
from runhook.services.jobs import parse_spec

TEXT = {"content": "x"}


def spec(**more: Any) -> dict[str, Any]:
    return {"name": "x", "command": "true", **more}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"/etc/passwd": TEXT}, "below the run's home"),
        ({"../x": TEXT}, "below the run's home"),
        ({"a": TEXT, "~/a": TEXT}, "two files"),
        ({"a": TEXT, "a/b": TEXT}, "a file and a folder"),
        ({".netrc": TEXT}, "two files"),
        ({"a": {"content": "x\x00"}}, "NUL"),
        ({"a": {"content": "x", "mode": "rwx"}}, "match"),
        ({"a": {"content": "x", "mode": "4755"}}, "match"),
    ],
)
def test_what_cannot_be_placed_is_named(files: dict[str, Any], words: str) -> None:
    secrets = [{"location": "~/.netrc", "attachment_type": "file", "name": "s"}]
    with pytest.raises(Invalid) as caught:
        parse_spec(spec(config_files=files, secrets=secrets))
    assert any(words in each for each in caught.value.details.values()), caught.value.details


def test_paths_of_the_compatible_home_mean_the_runs_own() -> None:
    given = {"/home/jovyan/.config/a": {"content": "x", "mode": "0755"}}
    made = parse_spec(spec(config_files=given))
    assert made.recipe_spec()["config_files"] == given
    assert [file.bits for file in (made.config_files or {}).values()] == [0o755]

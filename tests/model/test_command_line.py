"""Values in command lines, held against bash itself."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runhook.model.command_line import filled_in, problem

BASH = shutil.which("bash") or "bash"
PIECES = st.sampled_from(
    [
        *("{{p}}", "{{p}}", " ", " ", "a", "=", "#", "'", '"', "\\", "$", "`", "\n", ";", "(", ")"),
        *("$(", "((", "))", "[", "]", "[[", "{", "}", "${HOME}", "${", "<<E\n", "<<<", ">", "&"),
        *("|", "'x'", '"x"', "$'", "\\'", "E\n", "!", "*", "~", ": ", "echo ", "-"),
    ]
)
NASTY = st.sampled_from(
    [
        *("$(touch hit)", "`touch hit`", "';touch hit;'", '";touch hit;"', "\ntouch hit\n"),
        *(
            "\\",
            "a[$(touch hit)]",
            "\\';touch hit;'",
            "E\ntouch hit\n",
            "touch hit",
            "};touch hit;",
        ),
    ]
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


def bash(line: str, folder: Path) -> bytes:
    words = [BASH, "--noprofile", "--norc", "-c", line]
    ended = subprocess.run(words, cwd=folder, capture_output=True, timeout=20, env={"PATH": ""})
    return ended.stdout


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts | NASTY)
def test_a_value_arrives_as_one_word_whatever_it_is(tmp_path: Path, value: str) -> None:
    template = "printf '<%s>' {{p}} a{{p}}b {{p}}{{p}} \"${HOME}\"{{p}} $(printf %s. {{p}})"
    assert problem(template, ["p"], []) is None
    said = bash(filled_in(template, {"p": value}).replace("${HOME}", ""), tmp_path)
    begin = "".join(f"<{word}>" for word in (value, f"a{value}b", value * 2, value)).encode()
    assert said.startswith(begin)


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(PIECES, min_size=1, max_size=14).map("".join), NASTY)
def test_where_a_placeholder_is_allowed_its_value_is_never_code(
    tmp_path: Path, template: str, value: str
) -> None:
    """`touch` is a function here that leaves a mark: no template may call it with `hit`."""
    if problem(template, ["p"], []) or "{{p}}" not in template:
        return
    mark = tmp_path / "mark"
    mark.unlink(missing_ok=True)
    before = f"touch() {{ if [ \"$1\" = hit ]; then : > '{mark}'; fi; }}\nset -f\n"
    bash(before + filled_in(template, {"p": value}), tmp_path)
    assert not mark.exists(), filled_in(template, {"p": value})


@pytest.mark.parametrize(
    "line",
    [
        'echo "{{p}}"',
        "echo '{{p}}'",
        "echo $'{{p}}'",
        "echo `echo {{p}}`",
        'echo "$(echo "{{p}}")"',
        "true # {{p}}",
        "cat <<END\n{{p}}\nEND",
        "echo $((1 + {{p}}))",
        "(( n = {{p}} ))",
        "[[ {{p}} -eq 1 ]]",
        "echo $[{{p}}]",
        "a[{{p}}]=1",
        "echo ${{p}}",
        "echo ${HOME:-{{p}}}",
        "echo \\{{p}}",
        "echo $'a\\'{{p}}'",
    ],
)
def test_where_quotes_would_not_hold_a_placeholder_is_refused(line: str) -> None:
    sentence = problem(line, ["p"], [])
    assert sentence is not None
    assert "write ${p} there" in sentence


@pytest.mark.parametrize(
    "line",
    [
        "papermill a.ipynb out-{p}.ipynb",
        "docker ps --format '{{.Names}}' --filter '{{ .ID }}'",
        "echo {a,{{p}}} --x={{p}} /{{p}}/ {{p}}; {{p}}|{{p}}&&{{p}}",
        'cd "${HOME}/x" && echo "it\'s" {{p}} # don\'t "mind"',
        "cat <<<{{p}} >{{p}}.txt",
        'for i in a b; do run "$i" {{p}}; done',
        "echo $# a#b {{p}}",
    ],
)
def test_usual_lines_are_left_alone(line: str) -> None:
    assert problem(line, ["p"], []) is None


def test_values_that_are_no_text_are_json() -> None:
    values = {"n": 3, "f": 0.5, "t": True, "l": ["a b"], "z": None, "s": "o'brien"}
    line = filled_in("run {{n}} {{f}} {{t}} {{l}} {{z}} {{s}} {{other}}", values)
    assert line == """run '3' '0.5' 'true' '["a b"]' 'null' 'o'"'"'brien' {{other}}"""

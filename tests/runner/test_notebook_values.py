"""Parameters that go into a notebook, and what comes out as the run's value."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runhook.runner.notebook.injection import inject
from runhook.runner.notebook.literals import assignment
from runhook.runner.spec import Secrets
from tests.executors.conftest import Bench, anyio_backend, bench, log
from tests.runner.notebooks import execute, repository_of, write

__all__ = ["anyio_backend", "bench", "repository_of"]
pytestmark = pytest.mark.anyio
NAMES = st.sampled_from(["a", "größe", "_x9", "Ünï"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
MANY = 150


def given_many() -> list[Any]:
    """Values as hypothesis thinks of them; each is one that a start may give as JSON."""
    found: list[Any] = []

    @settings(max_examples=MANY, database=None, suppress_health_check=list(HealthCheck))
    @given(VALUES)
    def collect(value: Any) -> None:
        if json.loads(json.dumps(value)) == value:
            found.append(value)

    collect()
    return found


async def test_whatever_is_accepted_arrives_equal(bench: Bench, repository_of: Any) -> None:
    values = given_many()
    assert len(values) > MANY // 2
    folder, _ = repository_of
    parameters = {f"p{number}": value for number, value in enumerate(values)}
    (folder / "sent.json").write_text(json.dumps(values))
    write(
        folder / "a.ipynb",
        "# tags: parameters\np0 = 'default'",
        "import json\nsent = json.load(open('sent.json'))\n"
        "got = [globals()[f'p{n}'] for n in range(len(sent))]\n"
        "same = [json.dumps(a) == json.dumps(b) and repr(a) == repr(b) for a, b in zip(got, sent)]",
        "# tags: result\n{'same': all(same), 'of': len(same)}",
    )
    spec, result, _ = await execute(bench, repository_of, parameters=parameters)
    assert result.outcome == "succeeded", (result, log(spec)[-2000:])
    assert value_of(spec) == {"same": True, "of": len(values)}


@given(st.dictionaries(NAMES, VALUES, max_size=3))
def test_an_injected_cell_is_literals_and_nothing_else(parameters: dict[str, Any]) -> None:
    import ast

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x")])
    assert inject(notebook, parameters) == []
    if parameters:
        tree = ast.parse(notebook.cells[0].source)
        read = {node.targets[0].id: ast.literal_eval(node.value) for node in tree.body}  # type: ignore[attr-defined]
        import unicodedata

        named = {unicodedata.normalize("NFKC", name): each for name, each in parameters.items()}
        assert repr(read) == repr(named)


@pytest.mark.parametrize(
    ("language", "value", "text"),
    [
        ("r", [None, True, 'a"b\\', 1.5], r'x = list(NULL, TRUE, "a\"b\\", 1.5)'),
        ("r", {"k": [1]}, 'x = list("k" = list(1))'),
        ("julia", {"k": "$(run(`x`))"}, r'x = Dict("k" => "\$(run(`x`))")'),
        ("julia", [None, False], "x = [nothing, false]"),
        ("bash", "it's $(id)", "x='it'\"'\"'s $(id)'"),
        ("bash", {"k": 1}, "x='{\"k\": 1}'"),
        ("typescript", {"k": None}, 'var x = {"k": null};'),
        ("cobol", 1, None),
    ],
)
def test_other_languages_get_literals_in_which_nothing_is_evaluated(
    language: str, value: Any, text: str | None
) -> None:
    assert assignment(language, "x", value) == text


@given(st.text().filter(lambda text: "\0" not in text) | st.integers() | st.booleans())
@settings(max_examples=30)
def test_bash_reads_what_was_given(value: Any) -> None:
    import subprocess

    script = f'{assignment("bash", "x", value)}\nprintf %s "$x"'
    data = subprocess.run(["bash", "-c", script.encode("utf-8")], capture_output=True, check=True)
    sent = value if isinstance(value, str) else json.dumps(value)
    assert data.stdout == sent.encode()


def value_of(spec: Any) -> Any:
    path = Path(spec.directory) / "result-value.json"
    return json.loads(path.read_text()) if path.exists() else None


GLUE = """from IPython.display import display
def glue(name, data, encoder='json'):
    # as scrapbook does it
    kind = f'application/scrapbook.scrap.{encoder}+json'
    scrap = {'name': name, 'data': data, 'encoder': encoder, 'version': 1}
    display({kind: scrap}, metadata={'scrapbook': {'name': name}}, raw=True)
"""


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        ((f"{GLUE}glue('rows', 42); glue('a', [1]); glue('who', 'zoë', 'text')",
          "glue('a', {'b': None})"),
         {"rows": 42, "a": {"b": None}, "who": "zoë"}),
        (("# tags: result\n{'rows': 3, 1: (1, 2.5)}",), {"rows": 3, "1": [1, 2.5]}),
        (("from IPython.display import JSON, display",
          "# tags: result\ndisplay('no')\nJSON({'a': 1})"), {"a": 1}),
        (("# tags: result\nimport datetime\ndatetime.date(2026, 1, 2)",),
         "datetime.date(2026, 1, 2)"),
        ((f"{GLUE}glue('rows', 42)", "# tags: result\n8",
          "import os\nopen(os.environ['RUNHOOK_RESULT'], 'w').write('7')"), 7),
        (("1 + 1",), None),
    ],
)  # fmt: skip
async def test_what_a_notebook_returns(
    bench: Bench, repository_of: Any, cells: tuple[str, ...], value: Any
) -> None:
    folder, _ = repository_of
    write(folder / "a.ipynb", *cells)
    spec, result, _ = await execute(bench, repository_of)
    assert result.outcome == "succeeded", (result, log(spec))
    assert value_of(spec) == value


async def test_secret_parameters_arrive_and_are_in_nothing_that_is_kept(
    bench: Bench, repository_of: Any
) -> None:
    folder, _ = repository_of
    write(
        folder / "a.ipynb",
        "# tags: parameters\npassword = ''\nnumbers = []",
        "assert password == 'corr' + 'ect horse' and numbers == [987, 654321]\nprint(password)",
        "print(password * 100_000)",
        "# tags: result\n{'told': password}",
    )
    secrets = Secrets(attached={"password": "correct horse", "numbers": "[987, 654321]"})
    spec, result, notebook = await execute(
        bench, repository_of, secrets, secret_parameters={"password": True, "numbers": False}
    )
    assert result.outcome == "succeeded", result
    injected = "".join(notebook["cells"][1]["source"])
    assert 'environ["password"]' in injected
    assert value_of(spec) == {"told": "***"}
    kept = [path for path in Path(spec.directory).rglob("*") if path.is_file()]
    assert "cell-4-stdout.txt" in {path.name for path in kept}
    for path in kept:
        assert b"correct horse" not in path.read_bytes(), path
        assert b"654321" not in path.read_bytes() or path.name in ("events.jsonl", "log.index")

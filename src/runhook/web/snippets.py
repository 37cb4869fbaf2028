"""Programs that start a job, ready to be copied: made for its parameters, quoted for each language.

Each is plain text and is escaped as text by the template that shows it.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VARIABLE = "RUNHOOK_TOKEN"
PROTO = re.compile(r'(?<=[{, ])"__proto__":')


@dataclass(frozen=True)
class Snippet:
    """A program in some language."""

    language: str
    code: str


def snippets(url: str, parameters: Mapping[str, Any], token: str | None) -> list[Snippet]:
    """Programs that POST to `url` with these values of the parameters, and with `token`, or else
    the one in the environment variable RUNHOOK_TOKEN."""
    return [
        Snippet("curl", curl(url, parameters, token)),
        Snippet("Python", python(url, parameters, token)),
        Snippet("JavaScript", javascript(url, parameters, token)),
    ]


def curl(url: str, parameters: Mapping[str, Any], token: str | None) -> str:
    """For a POSIX shell. JSON is ASCII without line breaks, and begins with `{`, so curl takes it
    for no file's name and changes nothing in it."""
    given = shlex.quote(f"Authorization: token {token}") if token else _from_environment()
    lines = [f"curl -X POST {shlex.quote(url)}", f"-H {given}"]
    if parameters:
        body = json.dumps({"parameters": dict(parameters)})
        lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    return " \\\n  ".join(lines)


def _from_environment() -> str:
    return f'"Authorization: token ${VARIABLE}"'


def python(url: str, parameters: Mapping[str, Any], token: str | None) -> str:
    """For Python with requests. What JSON can say, `repr` writes as Python."""
    imports = ["import requests"] if token else ["import os", "", "import requests"]
    given = repr(f"token {token}") if token else f'f"token {{os.environ[{VARIABLE!r}]}}"'
    values = [f"        {name!r}: {value!r}," for name, value in parameters.items()]
    body = ['    json={"parameters": {', *values, "    }},"] if values else []
    return "\n".join(
        [
            *imports,
            "",
            "answer = requests.post(",
            f"    {url!r},",
            f'    headers={{"Authorization": {given}}},',
            *body,
            "    timeout=60,",
            ")",
            "answer.raise_for_status()",
            'print(answer.json()["run"]["url"])',
        ]
    )


def javascript(url: str, parameters: Mapping[str, Any], token: str | None) -> str:
    """For Node and the like (a browser does not let one site call another). JSON is JavaScript,
    but for a property called `__proto__`, which has to be written as a computed one."""
    given = json.dumps(f"token {token}") if token else f"`token ${{process.env.{VARIABLE}}}`"
    body = PROTO.sub('["__proto__"]:', json.dumps({"parameters": dict(parameters)}))
    sent = ['    "Content-Type": "application/json",'] if parameters else []
    return "\n".join(
        [
            f"const answer = await fetch({json.dumps(url)}, {{",
            '  method: "POST",',
            "  headers: {",
            f"    Authorization: {given},",
            *sent,
            "  },",
            *([f"  body: JSON.stringify({body}),"] if parameters else []),
            "});",
            "if (!answer.ok) throw new Error((await answer.json()).message);",
            "console.log((await answer.json()).run.url);",
        ]
    )

"""Runs in the environment of the published client: `sc` again and again, each time in a fork of a
process that has imported it, which saves a second each. Nothing of the client is changed.

Reads lines of JSON: {"argv": […], "environment": {…}, "cwd": "…"}; answers each with a line:
{"code": 0, "out": "…", "err": "…"}.
"""

import json
import os
import sys
import tempfile
import traceback
from typing import Any


def main() -> None:
    # what the client reads when it is imported; every call brings its own
    os.environ |= {"SATURN_BASE_URL": "http://127.0.0.1:9", "SATURN_TOKEN": "none"}
    import saturn_client.cli.commands  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        call = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                _become(call, out.fileno(), err.fileno())
            _, status = os.waitpid(child, 0)
            answer = {"code": os.waitstatus_to_exitcode(status), "out": _all(out), "err": _all(err)}
        print(json.dumps(answer), flush=True)


def _all(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode("utf-8", "replace"))


def _become(call: dict[str, Any], out: int, err: int) -> None:
    """`sc`, as its console script runs it; never returns."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.environ.clear()
    os.environ.update(call["environment"])
    os.chdir(call["cwd"])
    sys.argv = ["sc", *call["argv"]]
    code = 1
    try:
        from saturn_client.cli.commands import entrypoint

        entrypoint()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


main()

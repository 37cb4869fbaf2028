"""Files that a job wants in the home of its runs."""

import pytest

from runhook.runner.spec import Secrets
from tests.executors.conftest import Bench, log

pytestmark = pytest.mark.anyio


async def test_they_stand_in_the_home_with_their_modes_beside_secrets(bench: Bench) -> None:
    files = {".config/tool/a.toml": ("colour = 'red'\n", 0o640), "run.sh": ("echo ran", 0o755)}
    show = "cat ~/.config/tool/a.toml; ~/run.sh; stat -c %a ~/.config/tool/a.toml; cat ~/.config/b"
    spec = bench.spec(command=show, files=files)
    result = await bench.run(spec, Secrets(files={".config/b": "hidden"}))
    assert result.outcome == "succeeded", log(spec)
    assert log(spec) == b"colour = 'red'\nran\n640\n***"

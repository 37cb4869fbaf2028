"""Takes a picture of every page, light and dark, wide and narrow: scripts/screenshots.py FOLDER.

Starts a server of its own with a few jobs; needs the test set-up and Chromium.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.conftest import Api, LiveServer, clean_environment  # noqa: E402
from tests.servers.system_parts import PARTS  # noqa: E402
from tests.web.conftest import FLAGS  # noqa: E402

SIZES = {"wide": (1280, 900), "narrow": (390, 844)}


LASTS = 150
"""Seconds for which a notebook executes: long enough for all pictures of it."""
FIGURES = (
    "# Sales of the week\n\nHow each region did, and what to expect: a trend $y = a x + b$.",
    "region: str = 'north'  # which one\nweeks: int = 12  # how many\npause: float = 1.5",
    "import time\nimport numpy as np\nimport pandas as pd\n\nrandom = np.random.default_rng(7)\n"
    "sold = random.integers(80, 120, weeks).cumsum()\n"
    "sales = pd.DataFrame({'week': range(1, weeks + 1), 'sold': sold})\n"
    "sales['change'] = sales.sold.diff().fillna(0).astype(int)\nsales.tail(5)",
    "import matplotlib.pyplot as plt\n\nfigure, axes = plt.subplots(figsize=(7, 2.6))\n"
    "axes.bar(sales.week, sales.change, color='#1f5fbf', alpha=.35, label='change')\n"
    "axes.twinx().plot(sales.week, sales.sold, color='#18733a', linewidth=2)\n"
    "axes.set_xlabel('week')\nplt.show()",
    "for step in range(1, 31):\n    bar = '█' * step + '·' * (30 - step)\n"
    "    print(f'\\rfitting {bar} {step}/30', end='')\n    time.sleep(pause / 30)",
    "a, b = np.polyfit(sales.week, sales.sold, 1)\nprint(f'\\x1b[32m{a:.1f}\\x1b[0m a week')",
    "def check(forecast, most):\n"
    "    assert forecast < most, f'{forecast:.0f} is more than {most} can be made'\n\n"
    "check(a * (weeks + 4) + b, most=1000)",
    "publish(sales)",
)


def notebooks(api: Api, folder: Path) -> dict[str, str]:
    """A notebook that is executing, with earlier runs to tell how long it takes, and one that
    failed."""
    path = folder / "figures"
    path.mkdir()
    for name, sources in {"figures": FIGURES[:6], "checked": FIGURES}.items():
        cells: list[dict[str, object]] = [
            {"cell_type": "code", "source": each, "metadata": {}, "outputs": []} for each in sources
        ]
        cells[0] = {"cell_type": "markdown", "source": sources[0], "metadata": {}}
        cells[1] |= {"metadata": {"tags": ["parameters"]}}
        for each in cells[1:]:
            each["execution_count"] = None
        made = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
        (path / f"{name}.ipynb").write_text(json.dumps(made))
    commit(path)
    shared = {
        "git_repositories": [{"url": path.as_uri()}],
        "extra_packages": {"pip": "pandas matplotlib"},
        "parameters": {"region": "north", "weeks": 12, "pause": 1.5},
    }
    good = api.apply(name="sales-figures", notebook="figures/figures.ipynb", **shared)
    bad = api.apply(name="checked-figures", notebook="figures/checked.ipynb", **shared)
    failed = api.finished(api.start(bad)["id"])
    lasting = {"parameters": {"pause": LASTS}}
    for each in [api.start(good, json=lasting) for _ in range(2)]:
        api.finished(each["id"])
    running = api.start(good, json=lasting)
    limit = time.monotonic() + 60
    while "fitting" not in api.log(running["id"]) and time.monotonic() < limit:
        time.sleep(0.2)
    return {
        "notebook-live": f"/dash/runs/{running['id']}",
        "notebook-failed": f"/dash/runs/{failed['id']}",
    }


def fill(api: Api, repository: str) -> dict[str, str]:
    """Some jobs with runs: the paths of the pages to look at."""
    example = api.apply(
        name="weekly-report",
        description="Sums up the week for everybody.",
        command="bash materials/say.sh",
        git_repositories=[{"url": repository}],
        schedules=[{"cron": "30 6 * * 1", "zone": "Europe/Berlin"}],
        extra_packages={"pip": "six\niniconfig", "apt": "curl"},
    )
    api.person("grace", {"main/analysts": "operator"})
    failing = api.apply(name="fails", command="echo before; exit 3")
    region = {"type": "str", "choices": ["north", "south"], "default": "north", "help": "Which."}
    until = {"type": "date", "default": "2026-01-31"}
    parameters = {"region": region, "year": 2026, "until": until, "quick": False}
    api.apply(name="asks", command="echo $region", parameters=parameters)
    report = "echo '{\"rows\": 12}' > $RUNHOOK_RESULT; echo a,b > $RUNHOOK_ARTIFACTS/table.csv"
    returning = api.apply(name="returns", command=report)
    for secret in ("database-password", "api-key"):
        api.request("POST", "/api/secrets", json={"name": secret, "value": "not shown"})
    api.request("POST", "/api/tokens", json={"description": "nightly", "scope": "jobs:start"})
    api.apply(name="never-started", command="true")
    for _ in range(6):
        api.finished(api.start(example)["id"])
    failed = api.finished(api.start(failing)["id"])
    good = api.start(example)
    api.finished(good["id"])
    returned = api.finished(api.start(returning)["id"])
    asking = api.request("GET", "/api/recipes/job/asks").json()["state"]["id"]
    return {
        "jobs": "/dash",
        "job": f"/dash/resources/job/{example}",
        "parameters": f"/dash/resources/job/{asking}",
        "run": f"/dash/runs/{good['id']}",
        "result": f"/dash/runs/{returned['id']}",
        "failed-run": f"/dash/runs/{failed['id']}",
        "form": f"/dash/resources/job/{example}/edit",
        "job-secrets": f"/dash/resources/job/{example}/secrets",
        "job-manage": f"/dash/resources/job/{example}/manage",
        "log": f"/dash/runs/{good['id']}/log/lines",
        "new-job": "/dash/jobs/from-git",
        "runs": "/dash/runs",
        "schedules": "/dash/schedules",
        "system": "/dash/system",
        "delete": f"/dash/resources/job/{example}/delete",
        "git": "/dash/git",
        "people": "/dash/people",
        "group": "/dash/people/groups/analysts",
        "account": "/dash/account",
        "tokens": "/dash/tokens",
        "secrets": "/dash/secrets",
        "audit": "/dash/audit",
        "api": "/api/docs",
        "missing": "/dash/runs/" + "0" * 32,
    }


def make_repository(path: Path) -> str:
    path.mkdir(parents=True)
    colours = r"printf '\033[32mdone\033[0m in \033[1m3\033[0m steps\n'"
    (path / "say.sh").write_text(f"for i in 1 2 3; do echo step $i; sleep 0.0$i; done\n{colours}\n")
    commit(path)
    return path.as_uri()


def commit(path: Path) -> None:
    git = ["git", "-c", "user.name=s", "-c", "user.email=s@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], cwd=path, check=True)


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        environment = clean_environment(scratch, RUNHOOK_GIT_ALLOW_FILE_URLS="1")
        server = LiveServer(scratch / "data", environment).start()
        try:
            api = Api(server, server.token())
            url = make_repository(scratch / "materials")
            pages = {"sign-in": "/dash/sign-in", **notebooks(api, scratch), **fill(api, url)}
            take(api, pages, target)
        finally:
            server.stop()
            server.end_everything()


def take(api: Api, pages: dict[str, str], target: Path) -> None:
    chromium = PARTS["chromium"].find()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=FLAGS)
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme="dark" if scheme == "dark" else "light",
                )
                page = context.new_page()
                link = api.request("POST", "/api/user/sign-in-link", json={}).json()["url"]
                for label, path in pages.items():
                    page.goto(api.server.url + path)
                    for frame in page.locator("main iframe").all():
                        frame.scroll_into_view_if_needed()
                    page.wait_for_timeout(300)
                    name = f"{label}-{size}-{scheme}.png"
                    page.screenshot(path=str(target / name), full_page=True)
                    if label == "sign-in":
                        page.goto(link)
                        page.get_by_role("button", name="Sign in").click()
                context.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A server with something on every page, and the address of each page of the table that can be
looked at."""

from dataclasses import dataclass

from runhook.web.pages import PAGES
from tests.conftest import Api

COLOURS = r"printf 'one\n\033[31mred\033[0m \033[1;32mgreen\033[0m \033[33mamber\033[0m\n'"
NO_PAGES = ("/live", "/sign-in/sso", "/sso/callback", "/account/sso")
NO_PAGES += ("/cells", "/output", "/notebook.html", "/compare")
"""Ends of addresses that answer with no page of ours: streams, the ways to a provider, the pieces
and copies of a notebook, and what leads to a comparison."""
PARAMETERS = {
    "region": {"type": "str", "choices": ["north", "south"], "default": "north", "help": "Which."},
    "until": {"type": "date", "default": "2026-01-31"},
    "quick": False,
}


def page_rows() -> list[str]:
    """The path of every GET row of the table that answers with a page."""
    rows = [path for method, path, _, _ in PAGES if method == "GET"]
    return [path for path in rows if not path.endswith(NO_PAGES)]


@dataclass
class World:
    """Things of every kind, made once; `ids` are by the name that stands in an address."""

    api: Api
    ids: dict[str, str]

    @classmethod
    def of(cls, api: Api) -> "World":
        """A job with schedules, parameters and runs of each outcome, a group, a secret, keys."""
        api.person("w-grace", {"main/w-analysts": "operator"})
        plain = api.apply(
            name="w-plain",
            description="Says what it does.",
            command=f"{COLOURS}; echo '{{\"rows\": 2}}' > $RUNHOOK_RESULT; "
            "echo a > $RUNHOOK_ARTIFACTS/table.csv",
            schedules=[
                {"cron": "30 6 * * 1", "zone": "Europe/Berlin"},
                {"cron": "@hourly", "paused": True},
            ],
            extra_packages={"apt": "curl"},
        )
        failing = api.apply(name="w-fails", command="echo before; exit 3")
        asking = api.apply(name="w-asks", command="echo $region", parameters=PARAMETERS)
        secret = {"name": "w-secret", "value": "not shown anywhere"}
        assert api.request("POST", f"/api/jobs/{plain}/secrets", json={
            "location": "W_SECRET", "secret": secret}).ok  # fmt: skip
        api.request("POST", "/api/tokens", json={"description": "w", "scope": "jobs:start"})
        key = {"name": "w-key", "kind": "ssh_key", "url_prefix": "git@w.example.org:"}
        api.request("POST", "/api/git/credentials", json=key)
        failed = api.finished(api.start(failing)["id"])
        good, other = (str(api.finished(api.start(plain)["id"])["id"]) for _ in range(2))
        ids = {"job_id": plain, "run_id": good, "other_id": other, "group_id": "w-analysts"}
        return cls(api, ids | {"asking": asking, "failed": str(failed["id"])})

    def address(self, path: str) -> str:
        """`path` of a row with the ids of these things in it."""
        return path.format(**self.ids)

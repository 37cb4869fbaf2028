"""Rules for a definition that depend on how this server is set up."""

from runhook.errors import Invalid
from runhook.model.job import JobSpec
from runhook.services.site import Site
from runhook.services.validation import nearest

FILE_URLS_REFUSED = (
    "file:// repositories read the server's own disk and are refused; an administrator may permit "
    "them with RUNHOOK_GIT_ALLOW_FILE_URLS=1"
)


def require_possible(spec: JobSpec, site: Site) -> None:
    """Raise Invalid, naming each field, unless this server can do what the definition asks for."""
    wrong = _refused_repositories(spec, site)
    if spec.pool is not None and spec.pool not in site.capacity.pools:
        wrong["pool"] = _unknown_pool(spec.pool, site)
    if wrong:
        raise Invalid("cannot use this job definition", details=wrong)


def _refused_repositories(spec: JobSpec, site: Site) -> dict[str, str]:
    if site.places.allow_file_urls:
        return {}
    return {
        f"git_repositories.{index}.url": FILE_URLS_REFUSED
        for index, repository in enumerate(spec.repositories)
        if repository.url.lower().startswith("file:")
    }


def _unknown_pool(name: str, site: Site) -> str:
    known = site.capacity.pools
    if not known:
        return "this server has no pools; an administrator makes them with RUNHOOK_RUNS_POOLS"
    return f"there is no pool {name}{nearest(name, known)}; known are {', '.join(sorted(known))}"

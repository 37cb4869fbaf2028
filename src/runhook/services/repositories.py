"""Rules for the repositories of a job that depend on how this server is set up."""

from runhook.errors import Invalid
from runhook.model.job import JobSpec
from runhook.services.site import Site

FILE_URLS_REFUSED = (
    "file:// repositories read the server's own disk and are refused; an administrator may permit "
    "them with RUNHOOK_GIT_ALLOW_FILE_URLS=1"
)


def require_allowed(spec: JobSpec, site: Site) -> None:
    """Raise Invalid, naming each repository, unless this server may fetch from all of them."""
    if site.places.allow_file_urls:
        return
    wrong = {
        f"git_repositories.{index}.url": FILE_URLS_REFUSED
        for index, repository in enumerate(spec.repositories)
        if repository.url.lower().startswith("file:")
    }
    if wrong:
        raise Invalid("cannot use this job definition", details=wrong)

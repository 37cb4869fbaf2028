"""Calling uv: with none of anybody's settings; what it says becomes the reason of a failure."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from runhook.runner.builder import Workshop
from runhook.runner.process import Control, Exit, capture
from runhook.runner.report import Reporter, StepFailed
from runhook.runner.spec import Places

PASSED_ON = (
    "PATH HOME TMPDIR LANG LC_ALL http_proxy https_proxy all_proxy no_proxy HTTP_PROXY "
    "HTTPS_PROXY ALL_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR GIT_SSL_CAINFO NETRC CC CXX "
    "CFLAGS CXXFLAGS CPPFLAGS LDFLAGS LD_LIBRARY_PATH PKG_CONFIG_PATH"
).split()
"""For the network and for compilers. Nothing else: building a package runs its author's code."""

PYENV = ".pyenv/versions/*/bin"


@dataclass(frozen=True)
class Uv:
    """uv for one attempt. Without a workshop it is for questions that execute nobody's code."""

    places: Places
    reporter: Reporter
    control: Control
    packages: Path | None = None
    workshop: Workshop | None = None

    def within(self, workshop: Workshop, packages: Path) -> "Uv":
        """The same, at work in a workshop, with the packages that its builder has."""
        return replace(self, workshop=workshop, packages=packages)

    def call(self, *words: str, cwd: Path, output: int | None = None) -> tuple[Exit, bytes]:
        """Run `uv WORDS`: how it ended, and its standard output. What it says goes to the attempt's
        log, or to `output`."""
        return capture(
            [program(), *words],
            cwd=cwd,
            env=self._environment(),
            output=self.reporter.log_fd if output is None else output,
            control=self.control,
            timeout=self.places.environment_timeout,
            confinement=self.workshop.confinement if self.workshop else None,
        )

    def _environment(self) -> dict[str, str]:
        variables = environment(os.environ, self.places)
        if self.packages:
            variables["UV_CACHE_DIR"] = str(self.packages)
        return variables | (self.workshop.variables if self.workshop else {})

    def must(self, what: str, *words: str, cwd: Path, output: int | None = None) -> str:
        """The same, but StepFailed "cannot `what` because …" if it fails; its standard output."""
        ended, written = self.call(*words, cwd=cwd, output=output)
        if not ended.ok:
            raise failure(what, ended)
        return written.decode("utf-8", "replace")


def program() -> str:
    """Where uv is. Imported here because a run whose environment is there never needs it."""
    from uv import find_uv_bin  # noqa: PLC0415

    return os.fspath(find_uv_bin())


def environment(server: Mapping[str, str], places: Places) -> dict[str, str]:
    """The variables of uv."""
    kept = {name: server[name] for name in PASSED_ON if name in server}
    pyenv = sorted(map(str, Path(kept.get("HOME", "/nonexistent")).glob(PYENV)))
    settings = {
        "PATH": ":".join([*pyenv, kept.get("PATH", os.defpath)]),
        "GIT_TERMINAL_PROMPT": "0",
        "UV_CACHE_DIR": f"{places.cache}/uv/server",
        "UV_PYTHON_INSTALL_DIR": f"{places.cache}/pythons",
        "UV_PYTHON_DOWNLOADS": "manual" if places.download_python else "never",
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
    }
    if places.index_url:
        settings["UV_DEFAULT_INDEX"] = places.index_url
    return kept | settings


def failure(what: str, ended: Exit) -> StepFailed:
    """One sentence for what uv said."""
    return StepFailed(f"cannot {what} because {_cause(ended)}", ended.code, ended.signal)


def _cause(ended: Exit) -> str:
    """uv writes `error: …` and below it `cause: …` lines, which may go on in the next lines."""
    errors = re.sub(r"\n {9,}", " ", ended.errors)
    causes = [
        text.strip() for text in re.findall(r"^ *(?:error|cause): (.*)$", errors, re.MULTILINE)
    ]
    if because := next((text for text in causes if text.startswith("Because ")), None):
        return _short(because.removeprefix("Because ").partition(", we can conclude")[0])
    if any("error sending request" in text for text in causes):
        return _short(f"the package index cannot be reached: {causes[1]}, {causes[-1]}")
    last = errors.strip().splitlines()[-1:]
    return _short(f"uv failed: {': '.join(causes or last or ['it gave no reason'])}")


def _short(text: str) -> str:
    """One line, without a password in an address."""
    text = re.sub(r"://[^/\s@]*@", "://", " ".join(text.split()))
    return text if len(text) <= 400 else f"{text[:399]}…"

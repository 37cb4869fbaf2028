"""Git as checkouts run it: nothing of the machine's configuration, one transport, no questions.

Malformed objects are not refused (`fsckObjects` stays off, because well-known old repositories have
some); git itself refuses to write a tree that reaches outside its folder or into `.git`, and
submodules are not followed.
"""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runhook.runner.address import Address, printable
from runhook.runner.process import Control, capture
from runhook.runner.report import StepFailed

CONFIGURATION = Path(__file__).with_name("gitconfig")
PASSED_ON = (
    "PATH TMPDIR GIT_SSL_CAINFO GIT_SSL_CAPATH SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE "
    "http_proxy https_proxy all_proxy no_proxy HTTPS_PROXY ALL_PROXY NO_PROXY"
).split()
FIXED = {
    "LC_ALL": "C.UTF-8",
    "HOME": "/nonexistent",  # no .netrc, no .gitconfig, no .ssh
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": str(CONFIGURATION),
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",  # a remote on this disk may name a program to fetch with
}


class GitFailed(Exception):
    """A git command failed; `words` is what it wrote to stderr, which the log has too."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@dataclass(frozen=True)
class Git:
    """Runs git commands for one attempt; their words go through `mask`, which takes secrets out of
    them, to `log`. `timeout` is seconds for each."""

    log: int
    control: Control
    timeout: float
    mask: Callable[[bytes], bytes] = bytes

    def ask(
        self, *arguments: str, cwd: Path, protocol: str, access: Mapping[str, str] | None = None
    ) -> str:
        """What the command wrote to stdout. `protocol` is the one transport it may use; `access` is
        what `access.granted` gave. GitFailed if the command fails."""
        environment = {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            **FIXED,
            "GIT_CEILING_DIRECTORIES": str(cwd.parent),
            "GIT_ALLOW_PROTOCOL": protocol,
            **(access or {}),
        }
        ended, output = capture(
            [program(), *arguments],
            cwd=cwd,
            env=environment,
            output=self.log,
            control=self.control,
            timeout=self.timeout,
            mask=self.mask,
        )
        if not ended.ok:
            raise GitFailed(ended.errors or f"git was ended by signal {ended.signal}")
        return output.decode("utf-8", "surrogateescape")


def program() -> str:
    """Where git is."""
    found = shutil.which("git")
    if found is None:
        raise StepFailed("cannot check out because git is not installed on this machine")
    return found


CAUSES = [
    (r"Could not resolve host|Temporary failure in name resolution|Name or service not known",
     "its host name cannot be resolved: check the address and the network"),
    (r"Failed to connect|Connection refused|Connection timed out|No route to host|"
     r"Network is unreachable|Couldn't connect|Connection reset|Operation timed out",
     "its host cannot be reached: check the address and the network"),
    (r"certificate|SSL_|gnutls", "the host's certificate cannot be verified"),
    (r"No space left on device|Disk quota exceeded", "the server's disk is full"),
    (r"transport '.*' not allowed|Protocol \".*\" (not supported|disabled)",
     "it leads to another kind of address, which is not followed"),
    (r"dubious ownership", "the repository belongs to another user of the machine"),
]  # fmt: skip
REFUSED = (
    r"Authentication failed|could not read (Username|Password)|Permission denied|error: 40[13]|"
    r"Invalid username|Access denied|HTTP Basic: Access denied|terminal prompts disabled"
)
ABSENT = (
    r"not found|does not appear to be a git repository|does not exist|could not be found|"
    r"Could not read from remote"
)


def failure(address: Address, words: str, with_credential: bool) -> StepFailed:
    """One sentence for what git said about a remote."""
    return StepFailed(
        f"cannot fetch {printable(address.url)} because {_cause(words, with_credential)}"
    )


def _cause(words: str, with_credential: bool) -> str:
    for pattern, cause in CAUSES:
        if re.search(pattern, words):
            return cause
    if re.search(REFUSED, words):
        if with_credential:
            return (
                "the host refused the job's git credential: check that it is valid and may read it"
            )
        return "it is private: add a git credential that may read it"
    if re.search(ABSENT, words):
        hint = (
            "its git credential may not read it" if with_credential else "a credential is missing"
        )
        return f"there is no such repository, or it is private and {hint}"
    last = words.strip().splitlines()[-1:] or ["it gave no reason"]
    return f"git failed: {re.sub(r'^(fatal|error): ', '', last[0])}"

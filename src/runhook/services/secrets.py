"""Secrets: kept encrypted, attached to jobs, handed to runs. No answer holds a value; only the
`Secrets` of a runner do.

A job may have a secret attached if it belongs to the job's owner, if it is there for the whole
organisation, or if whoever saves the definition is at least an editor of the secret's owner: less
would let a viewer read the value by a job of their own. That is asked when a definition is saved,
for every secret in it, and again at every start.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime

from runhook.errors import Conflict, Invalid, NotFound
from runhook.keys import Keys
from runhook.model.access import ROLE_OF, Caller
from runhook.model.job import Job, JobSpec
from runhook.model.secret import (
    SHORTEST_MASKED,
    NewSecret,
    SecretAttachment,
    SecretChange,
    SecretInfo,
    owner_name,
)
from runhook.ring import Ring
from runhook.services import audit
from runhook.services.access import require, require_scope, visible_owners
from runhook.services.members import require_owner
from runhook.store import identities, jobs, secrets
from runhook.store.database import Transaction
from runhook.store.jobs import JobVersion
from runhook.store.tables import new_id

TOO_SHORT = f"a value with fewer than {SHORTEST_MASKED} bytes is not masked in logs and results"


@dataclass(frozen=True)
class RunSecrets:
    """What the runner of one attempt is given: variables, and files by their path below the home.

    `refusal`: a sentence, if the run may not begin, since one of them is not to be had.
    """

    variables: dict[str, str] = field(default_factory=dict, repr=False)
    files: dict[str, str] = field(default_factory=dict, repr=False)
    refusal: str | None = None


def notices(value: str | None) -> list[str]:
    """What whoever saves this value should know."""
    short = value is not None and len(value.encode()) < SHORTEST_MASKED
    return [TOO_SHORT] if short else []


def add(tx: Transaction, keys: Keys, caller: Caller, new: NewSecret, now: datetime) -> SecretInfo:
    """Keep a new secret. Conflict if its owner has one of that name, NotFound if there is no such
    owner."""
    owner = owner_name(new.owner) or caller.owner
    require(caller, "secrets:write", owner, what=f"owner {owner}")
    require_owner(tx, caller, owner)
    info = SecretInfo(new_id(), owner, new.name, new.access, now, now, caller.user_id)
    if not secrets.insert_secret(tx, info, keys.encrypt(new.value, _context(info))):
        raise _taken(owner, new.name)
    _record(tx, caller, "added", info, now, after={"access": info.access})
    return info


def change(
    tx: Transaction,
    keys: Keys,
    caller: Caller,
    secret_id: str,
    wanted: SecretChange,
    now: datetime,
    *,
    force: bool = False,
) -> SecretInfo:
    """Another value, name or access. Runs that have started keep what they were given.

    Conflict if the new name is taken, or if jobs ask for it by its name, unless `force`.
    """
    before = get(tx, caller, secret_id, "secrets:write")
    given = {n: v for n in ("name", "access") if (v := getattr(wanted, n)) is not None}
    info = replace(before, **given, updated_at=now)
    if info.name != before.name:
        _require_unused(tx, caller, before, "rename", force)
        if secrets.find_secret(tx, info.owner, info.name):
            raise _taken(info.owner, info.name)
    sealed = secrets.sealed_value(tx, info.id)
    value = keys.decrypt(sealed, _context(before)) if wanted.value is None else wanted.value
    secrets.update_secret(tx, info, keys.encrypt(value, _context(info)))
    told = {"value": "another one"} if wanted.value is not None else {}
    was = {name: getattr(before, name) for name in given}
    _record(tx, caller, "changed", info, now, before=was, after={**given, **told})
    return info


def delete(
    tx: Transaction, caller: Caller, secret_id: str, now: datetime, *, force: bool = False
) -> None:
    """Forget it. Conflict, naming them, if jobs have it attached, unless `force`: then their next
    runs fail at their start. NotFound if repeated."""
    info = get(tx, caller, secret_id, "secrets:write")
    _require_unused(tx, caller, info, "remove", force)
    secrets.delete_secret(tx, info.id)
    _record(tx, caller, "deleted", info, now, before={"access": info.access})


def get(
    tx: Transaction, caller: Caller, secret_id: str, action: str = "secrets:read"
) -> SecretInfo:
    """The secret without its value, if the caller may do `action` with it."""
    info = secrets.get_secret(tx, secret_id)
    what = f"secret {secret_id}"
    if info is None:
        raise NotFound(f"there is no {what} here")
    if action == "secrets:read" and _for_organization(info, caller.owner):
        require_scope(caller, action)
        return info
    require(caller, action, info.owner, what=what)
    return info


def list_page(
    tx: Transaction,
    caller: Caller,
    *,
    size: int,
    name: str = "",
    owner: str | None = None,
    access: str | None = None,
    after: tuple[str, str] | None = None,
    before: tuple[str, str] | None = None,
    descending: bool = False,
) -> list[SecretInfo]:
    """The secrets that the caller sees, by name: those of visible owners, and those for the whole
    organisation."""
    owners = visible_owners(caller, "secrets:read")
    return secrets.list_secrets(
        tx,
        size=size,
        owners=owners,
        owner=owner,
        name=name,
        access=access,
        after=after,
        before=before,
        descending=descending,
    )


def may_write(caller: Caller, info: SecretInfo) -> bool:
    """Is the caller editor enough to change it?"""
    role = caller.role_on(info.owner)
    return role is not None and role.rank >= ROLE_OF["secrets:write"].rank


def users_of(tx: Transaction, *infos: SecretInfo) -> dict[str, list[Job]]:
    """For the id of each secret, the jobs that have it attached."""
    found: dict[tuple[str, str], list[Job]] = {}
    for job in jobs.jobs_with_secrets(tx):
        for named in {_named(job.owner, each) for each in job.spec.secrets or []}:
            found.setdefault(named, []).append(job)
    return {info.id: found.get((info.owner, info.name), []) for info in infos}


def attached(
    tx: Transaction, caller: Caller, job: Job
) -> list[tuple[SecretAttachment, SecretInfo | None]]:
    """What the job has attached, each with its secret: None for one that is gone, or that the
    caller does not see."""
    return [(each, _seen(tx, caller, *_named(job.owner, each))) for each in job.spec.secrets or []]


def _seen(tx: Transaction, caller: Caller, owner: str, name: str) -> SecretInfo | None:
    info = secrets.find_secret(tx, owner, name)
    if info is None:
        return None
    seen = caller.role_on(owner) is not None or _for_organization(info, caller.owner)
    return info if seen else None


def require_attachable(tx: Transaction, caller: Caller, job_owner: str, spec: JobSpec) -> None:
    """Invalid unless every secret in the definition is there, and may be attached by the caller to
    a job of this owner. One that may not is spoken of like one that is not there."""
    wrong = {}
    for index, each in enumerate(spec.secrets or []):
        owner, name = _named(job_owner, each)
        info = secrets.find_secret(tx, owner, name)
        if info is None or not _permitted(caller, job_owner, info):
            wrong[f"secrets.{index}.name"] = (
                f"there is no secret {name} of {owner} that you may attach to a job of {job_owner}"
            )
    if wrong:
        raise Invalid("cannot use this job definition", details=wrong)


def for_run(tx: Transaction, keys: Keys, job: Job, version: JobVersion) -> RunSecrets:
    """The values for a run of this version of the job, or a refusal. RunhookError if a value cannot
    be decrypted."""
    variables, files = {}, {}
    saver = _saver(tx, version) if version.spec.secrets else None
    for each in version.spec.secrets or []:
        owner, name = _named(job.owner, each)
        what = f"cannot start because the secret {name} of {owner}, attached at {each.location},"
        info = secrets.find_secret(tx, owner, name)
        if info is None:
            return RunSecrets(refusal=f"{what} is not there any more")
        if not _permitted(saver, job.owner, info):
            return RunSecrets(
                refusal=f"{what} may not be used by this job any more: whoever saved the job has "
                f"to be an editor of {owner}"
            )
        value = keys.decrypt(secrets.sealed_value(tx, info.id), _context(info))
        if each.is_file:
            files[each.path] = value
        else:
            variables[each.location] = value
    return RunSecrets(variables, files)


def _saver(tx: Transaction, version: JobVersion) -> Caller | None:
    """Whoever saved this version, with the roles of today."""
    user = identities.get_user(tx, version.created_by) if version.created_by else None
    if user is None or user.disabled:
        return None
    return user.caller(identities.roles_of(tx, user.id))


def _permitted(saver: Caller | None, job_owner: str, info: SecretInfo) -> bool:
    if info.owner == job_owner or _for_organization(info, job_owner):
        return True
    return saver is not None and saver.scoped("secrets:write") and may_write(saver, info)


def _for_organization(info: SecretInfo, owner: str) -> bool:
    organization = info.owner.rpartition("/")[0]
    return info.access == "org" and organization == owner.rpartition("/")[0]


def _named(job_owner: str, attachment: SecretAttachment) -> tuple[str, str]:
    return owner_name(attachment.owner) or job_owner, attachment.name


def _require_unused(
    tx: Transaction, caller: Caller, info: SecretInfo, verb: str, force: bool
) -> None:
    using = [] if force else users_of(tx, info)[info.id]
    if not using:
        return
    seen = [f"{job.owner}/{job.name}" for job in using if caller.role_on(job.owner)]
    unseen = len(using) - len(seen)
    parts = [*seen, *([f"{unseen} that you do not see"] if unseen else [])]
    raise Conflict(
        f"cannot {verb} {info.name} because it is attached to jobs: {', '.join(parts)}",
        hint="Detach it there first, or pass force=true: then their next runs fail at their start.",
    )


def _taken(owner: str, name: str) -> Conflict:
    sentence = f"{owner} already has a secret called {name}"
    return Conflict(sentence, details={"name": "is taken"})


def _context(info: SecretInfo) -> str:
    """What the encryption is bound to: a value moved to another row cannot be opened."""
    return json.dumps(["secret", info.id, info.owner, info.name])


def reseal(tx: Transaction, ring: Ring) -> int:
    """Encrypt every secret anew, with the first key of the ring; how many there are."""
    known = secrets.all_sealed(tx)
    for info, sealed in known:
        value = ring.decrypt(sealed, _context(info))
        secrets.update_secret(tx, info, ring.encrypt(value, _context(info)))
    return len(known)


def _record(
    tx: Transaction,
    caller: Caller,
    verb: str,
    info: SecretInfo,
    now: datetime,
    before: dict[str, str] | None = None,
    after: dict[str, str] | None = None,
) -> None:
    audit.record(
        tx,
        caller,
        f"secret.{verb}",
        now,
        kind="secret",
        id=info.id,
        name=info.name,
        owner=info.owner,
        before=before,
        after=after,
    )

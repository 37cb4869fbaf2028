"""With which keys the stored secrets are encrypted: every table that has any."""

from sqlalchemy import Engine, func, select, union

from runhook.ring import ID_BYTES
from runhook.store.tables import git_credentials, run_secrets, secrets


def key_ids(engine: Engine) -> set[bytes]:
    """The ids of the keys that everything encrypted in the database was sealed with."""
    columns = (git_credentials.c.secret, secrets.c.sealed, run_secrets.c.sealed)
    heads = union(*(select(func.substr(each, 1, ID_BYTES)) for each in columns))
    with engine.connect() as connection:
        return {bytes(head) for head in connection.execute(heads).scalars()}

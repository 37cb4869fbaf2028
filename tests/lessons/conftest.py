"""What the lessons share: the engine with a fake executor, and both databases."""

from tests.conformance.conftest import anyio_backend, database, database_url, postgres
from tests.engine.conftest import engine, make_engine

__all__ = ["anyio_backend", "database", "database_url", "engine", "make_engine", "postgres"]

"""Prefect's database brought to the version that this image speaks, by one process at a time."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

from tandem.errors import SettingsError, TandemError, Unreachable

LOCK = 0x74616E64656D  # "tandem": PostgreSQL's advisory lock, which ends with its connection
PATIENCE = 300.0  # seconds until the database answers

Say = Callable[[str], None]


async def migrate(url: str, say: Say, patience: float = PATIENCE) -> None:
    """Wait for the database, and run Prefect's migrations; others that want the same wait.

    `url` as PREFECT_SERVER_DATABASE_CONNECTION_URL has it. Raises SettingsError, Unreachable, TandemError.
    """
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    if not url.startswith("postgresql+asyncpg://"):
        raise SettingsError(
            "PREFECT_SERVER_DATABASE_CONNECTION_URL must be postgresql+asyncpg://USER:PASSWORD@HOST/NAME"
        )
    engine, deadline = create_async_engine(url, poolclass=NullPool), time.monotonic() + patience
    while True:
        try:
            async with engine.connect() as connection:
                version = (await connection.execute(text("SHOW server_version"))).scalar_one()
                await connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
                say(f"PostgreSQL {version}: migrations")
                _upgrade()
                return
        except (OSError, SQLAlchemyError) as error:
            said = str(getattr(error, "orig", None) or error).splitlines()[0][:300]
            if time.monotonic() > deadline:
                raise Unreachable(f"the database did not answer within {patience:.0f} s (last: {said})") from None
            say(f"the database does not answer yet: {said}")
            time.sleep(2)


def _upgrade() -> None:
    """In a process of its own: Alembic asks for an event loop of its own."""
    argv = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    done = subprocess.run(argv, env=os.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TandemError(f"Prefect's migrations failed:\n{(done.stdout + done.stderr).strip()[-1500:]}")

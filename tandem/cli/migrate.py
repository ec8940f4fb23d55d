"""Prefect's database brought to the version that this image speaks, by one process at a time."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version as version_of

from tandem.errors import SettingsError, TandemError, Unreachable

LOCK = 0x74616E64656D  # "tandem": PostgreSQL's advisory lock, which ends with its connection
# A comment on Alembic's own table, so that it goes where a dump goes.
NOTED = "SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"
PATIENCE = 300.0  # seconds until the database answers

Say = Callable[[str], None]


async def migrate(url: str, say: Say, patience: float = PATIENCE) -> None:
    """Wait for the database, and run Prefect's migrations; others that want the same wait.

    `url` as PREFECT_SERVER_DATABASE_CONNECTION_URL has it. Raises SettingsError, Unreachable, TandemError.
    """
    from sqlalchemy import text
    from sqlalchemy.exc import InvalidRequestError, SQLAlchemyError
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    if not url.startswith("postgresql+asyncpg://"):
        raise SettingsError(
            "PREFECT_SERVER_DATABASE_CONNECTION_URL must be postgresql+asyncpg://USER:PASSWORD@HOST/NAME"
        )
    wanted = f"Prefect {version_of('prefect')}"
    # Whoever waited inside a statement or a transaction would hold a snapshot, for whose end CREATE INDEX CONCURRENTLY
    # of the migrations waits in turn.
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    deadline = time.monotonic() + patience
    while True:
        try:
            async with engine.connect() as connection:
                version = (await connection.execute(text("SHOW server_version"))).scalar_one()
                while not (await connection.execute(text(f"SELECT pg_try_advisory_lock({LOCK})"))).scalar_one():
                    time.sleep(1)
                noted = (await connection.execute(text(NOTED))).scalar_one()
                if noted != wanted:
                    say(f"PostgreSQL {version}: from {noted or 'nothing'} to {wanted}")
                    _upgrade()
                    await _register_blocks()
                    await connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{wanted}'"))
                say(f"PostgreSQL {version}: at {wanted}")
                return
        except InvalidRequestError:
            raise  # ours, and no other try mends it
        except (OSError, SQLAlchemyError) as error:
            said = str(getattr(error, "orig", None) or error).splitlines()[0][:300]
            if time.monotonic() > deadline:
                raise Unreachable(f"the database did not answer within {patience:.0f} s (last: {said})") from None
            say(f"the database does not answer yet: {said}")
            time.sleep(2)


async def _register_blocks() -> None:
    """Prefect's own block types; several API replicas that did it at their start would stumble over each other."""
    from prefect.server.database import provide_database_interface
    from prefect.server.models.block_registration import run_block_auto_registration

    async with await provide_database_interface().session() as session:
        await run_block_auto_registration(session=session)


def _upgrade() -> None:
    """In a process of its own: Alembic asks for an event loop of its own."""
    argv = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    done = subprocess.run(argv, env=os.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TandemError(f"Prefect's migrations failed:\n{(done.stdout + done.stderr).strip()[-1500:]}")

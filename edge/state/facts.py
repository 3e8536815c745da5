"""Single facts of an installation."""

from __future__ import annotations

import logging
from uuid import UUID, uuid4

from edge.errors import NotStored
from edge.state.database import Database

log = logging.getLogger(__name__)


async def installation_id(database: Database) -> UUID:
    """Return the identity of this installation, made at the first call.

    Bundled containers get their IDs from it, which therefore stay the same (contract, Decision 11); where it cannot be
    kept it is new at every start.
    """
    rows = await database.read("SELECT value FROM facts WHERE name = 'installation'")
    if rows:
        return UUID(rows[0][0])
    fresh = uuid4()
    try:
        await database.write(("INSERT INTO facts (name, value) VALUES ('installation', ?)", (str(fresh),)))
    except NotStored:
        log.warning("the identity of this installation is not kept: bundled containers get new IDs at every start")
    return fresh

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
    try:
        if rows:
            return UUID(rows[0][0])
    except ValueError:
        log.error("the identity of this installation is damaged: bundled containers get new IDs")
    fresh = uuid4()
    try:
        await database.write(
            (
                "INSERT INTO facts (name, value) VALUES ('installation', ?)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (str(fresh),),
            )
        )
    except NotStored:
        log.warning("the identity of this installation is not kept: bundled containers get new IDs at every start")
    return fresh


async def kept_port(database: Database) -> int:
    """Return the port on which this machine's containers reached the platform last; 0 if none is kept."""
    rows = await database.read("SELECT value FROM facts WHERE name = 'local port'")
    try:
        return int(rows[0][0]) if rows else 0
    except ValueError:
        log.error("the port that containers know is damaged: those that outlived the platform are started anew")
        return 0


async def keep_port(database: Database, tcp_port: int) -> None:
    """Keep that port: containers that run on while the platform restarts know no other."""
    try:
        await database.write(("INSERT OR REPLACE INTO facts (name, value) VALUES ('local port', ?)", (str(tcp_port),)))
    except NotStored:
        log.warning("port %d is not kept: containers that outlive this platform will not find the next", tcp_port)

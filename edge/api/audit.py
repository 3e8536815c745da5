"""One line in the log for each managing call: who, from where, what, with which result. Never what was sent."""

from __future__ import annotations

import json
import logging

from edge.http.caller import Caller, Role
from edge.http.request import Request

log = logging.getLogger("edge.audit")


def _name(caller: Caller) -> str:
    """Return who called; a stand-in for somebody who has not shown who it is, is nobody."""
    return caller.name if caller.is_authenticated or caller.role is Role.OPEN else ""


class Audit:
    """Writes the lines, whatever else is logged."""

    def __init__(self) -> None:
        log.setLevel(logging.INFO)

    def __call__(self, request: Request, status: int) -> None:
        """Tell of a call that was answered, or refused at the gate."""
        log.info(
            "user=%s address=%s route=%s status=%d",
            # A name may hold blanks; quoted so that no name can pretend to be another line's end.
            json.dumps(_name(request.caller) or "-"),
            request.http.remote or "-",
            json.dumps(f"{request.method} {request.raw_path[:500]}"),
            status,
        )

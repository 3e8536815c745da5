"""A platform with everybody in it: users of all roles, containers, boards, connected platforms; and what they show."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.contract.wire import Response
from tests.integration.elsewhere import Elsewhere
from tests.integration.signed import SECRET, signed, token_for
from tests.system.households import Household

ROLES = ("GUEST", "USER", "CONTRIBUTOR", "ADMIN")
# The lowest role that something needs, as an index of these; OPEN for nobody in particular.
OPEN, ANY, GUEST, USER, CONTRIBUTOR, ADMIN = -1, 0, 0, 1, 2, 3

SETTINGS = {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "SECRET": SECRET, "PLATFORM_ADMIN_PWD": "admin-pw"}


class House:
    """A platform with users of all roles, containers, boards and connected platforms; and what each of them shows."""

    def __init__(self, household: Household, peer: Elsewhere, former_peer: Elsewhere) -> None:
        self.household = household
        admin = token_for("admin")
        for name, role, privileges in (
            *((role.lower(), role, []) for role in ROLES if role != "ADMIN"),
            ("pretender", "GUEST", ["ROLE_ADMIN", "ADMIN", "attach"]),
            ("stranger", "CONTRIBUTOR", []),
            ("board-pump", "USER", ["attach"]),
            ("board-fan", "USER", ["attach"]),
            ("gone", "ADMIN", []),
        ):
            body = {"username": name, "password": "pw", "role": role, "privileges": privileges}
            assert self.ask("POST", "/users", admin, json_body=body).status == 201
        gone = token_for("gone")
        assert self.ask("GET", "/users", gone).status == 200
        assert self.ask("DELETE", "/users/gone", admin).text == "true"
        self.board = self.log_in("board-pump")
        self.container_id = self.start(token_for("contributor"), household.wish())
        self.environment = self.environment_of(self.container_id)
        self.container = self.environment["TOKEN"]
        peer_token, former_token = self.connect(peer), self.connect(former_peer)
        assert self.ask("DELETE", "/connections", admin, json_body={"url": former_peer.url}).text == "true"
        now = int(time.time())
        head, claims, _ = admin.split(".")
        self.invalid = {
            "no bearer": ("Basic YWRtaW46YWRtaW4=",),
            "lower case": (f"bearer {admin}",),
            "empty": ("Bearer ",),
            "null": ("Bearer null",),
            "junk": ("Bearer junk",),
            "one letter more": (f"Bearer {admin}x",),
            "expired": (f"Bearer {token_for('admin', -1)}",),
            "without end": (f"Bearer {signed({'sub': 'admin', 'iat': now})}",),
            "unsigned": (f"Bearer {signed({'sub': 'admin', 'exp': now + 60}, alg='none')}",),
            "signature gone": (f"Bearer {head}.{claims}.",),
            "other key": (f"Bearer {signed({'sub': 'admin', 'exp': now + 60}, key=bytes(48))}",),
            "other algorithm": (f"Bearer {signed({'sub': 'admin', 'exp': now + 60}, alg='HS512')}",),
            "user removed": (f"Bearer {gone}",),
            "user unknown": (f"Bearer {token_for('nobody')}",),
            "platform disconnected": (f"Bearer {former_token}",),
            "user of a platform without one here": (f"Bearer {token_for(former_peer.url)}",),
            "subject no text": (f"Bearer {signed({'sub': 7, 'exp': now + 60})}",),
        }
        self.valid: dict[str, tuple[str, int]] = {
            **{role.lower(): (token_for(role.lower()), level) for level, role in enumerate(ROLES)},
            "pretender": (token_for("pretender"), GUEST),
            "container": (self.container, CONTRIBUTOR),
            "board": (self.board, USER),
            # It may do what the administrator may who connected it (contract, section 7.6), and any token that another
            # platform makes with the same secret is as good as one of ours.
            "peer": (peer_token, ADMIN),
            "peer of the same secret": (token_for(peer.url), ADMIN),
        }

    def log_in(self, name: str) -> str:
        return self.ask("POST", "/login", None, json_body={"username": name, "password": "pw"}).text

    def start(self, token: str, wish: dict[str, Any]) -> str:
        started = self.ask("POST", "/containers", token, json_body=wish)
        assert started.status == 200, started.text
        return started.text

    def environment_of(self, container_id: str) -> dict[str, str]:
        path = f"/invoke/Environment?containerId={container_id}"
        found: dict[str, str] = self.ask("POST", path, token_for("admin"), json_body={}).json()
        return found

    def connect(self, peer: Elsewhere) -> str:
        """Connect to a platform that is asked to connect back, and return the token that it gets for that."""
        wish = {"url": peer.url, "connectBack": True}
        assert self.ask("POST", "/connections", token_for("admin"), json_body=wish).text == "true"
        [asked] = [asked for asked in peer.asked if asked.path == "/connections"]
        return str(json.loads(asked.body)["token"])

    def ask(self, method: str, path: str, token: str | None, **more: Any) -> Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.household.ask(method, path, headers=headers, **more)

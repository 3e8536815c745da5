"""What belongs to somebody, by everybody who comes near it (contract, sections 7.5 and 7.8; Decision 21)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.house import House
from tests.integration.signed import token_for


def attached(key: str) -> dict[str, Any]:
    config = {"type": "ATTACHED", "url": "http://127.0.0.1:9", "push": True, "key": key}
    return {"image": {"imageName": key}, "clientConfig": config}


# What belongs to somebody. None: whoever may does, so that it is not tried.
OWNERS = ("owner", "other user", "its container", "other container", "board", "other board", "peer", "admin")
OF_ITS_OWNER: dict[tuple[str, str], tuple[int | None, ...]] = {
    ("GET", "/users/contributor"): (200, 403, 403, 403, 403, 403, 200, 200),
    ("PUT", "/users/contributor"): (403, 403, 403, 403, 403, 403, 200, 200),
    ("DELETE", "/users/contributor"): (403, 403, 403, 403, 403, 403, None, None),
    ("PUT", "/containers"): (None, 403, 403, 403, 403, 403, None, None),
    ("DELETE", "/containers/{container}"): (None, 403, 403, 403, 403, 403, None, None),
    ("DELETE", "/containers/{board}"): (403, 403, 403, 403, None, 403, None, None),
    ("POST", "/containers/notify"): (200, 200, 200, 200, 200, 403, 200, 200),
    ("POST", "/containers"): (None, None, None, None, 200, 403, None, None),
}


@pytest.fixture(scope="module")
def shown(house: House) -> dict[str, str]:
    """Who comes near what belongs to the contributor, or to the board: kind -> token."""
    other_id = house.start(token_for("stranger"), house.household.wish("other actor"))
    other_board = house.log_in("board-fan")
    house.start(other_board, attached("fan"))
    return dict(
        zip(
            OWNERS,
            (
                token_for("contributor"), token_for("stranger"), house.container,
                house.environment_of(other_id)["TOKEN"], house.board, other_board, house.valid["peer"][0],
                token_for("admin"),
            ),
            strict=True,
        )
    )  # fmt: skip


@pytest.mark.parametrize(("method", "path"), OF_ITS_OWNER, ids=lambda part: str(part))
def test_what_belongs_to_somebody_is_nobody_elses(house: House, shown: dict[str, str], method: str, path: str) -> None:
    board_id = house.start(house.board, attached("pump"))
    concrete = path.format(container=house.container_id, board=board_id)
    body = {"PUT /containers": house.household.wish(), "POST /containers": attached("pump")}.get(f"{method} {path}")
    body = {} if path.startswith("/users") and method == "PUT" else body
    text = board_id.encode() if path.endswith("notify") else b""
    found, wanted = {}, dict(zip(OWNERS, OF_ITS_OWNER[method, path], strict=True))
    for kind, token in shown.items():
        if wanted[kind] is not None:
            found[kind] = house.ask(method, concrete, token, json_body=body, body=text).status
        else:
            found[kind] = None
    assert found == wanted

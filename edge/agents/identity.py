"""Who a running container is: what the platform that started it decided."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a container is given when it starts (contract, section 8.2).

    Attributes:
        container_id: Its ID at the platform.
        owner: The user who started it; empty with authentication off.
        token: What it presents to the platform and what calls to it must carry; empty with authentication off.
        arguments: Values of the image's parameters by name; texts, as in the environment.
    """

    container_id: str
    owner: str = ""
    token: str = field(default="", repr=False)
    arguments: dict[str, str] = field(default_factory=dict, repr=False)

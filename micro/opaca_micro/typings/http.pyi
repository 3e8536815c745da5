from typing import Any

from opaca_micro.network import Network

async def request(
    base: str,
    method: str,
    path: str,
    body: bytes = b"",
    token: str = "",
    network: Network | None = None,
    limit_ms: int = 15000,
) -> tuple[int, bytes]: ...
async def address_of(host: str, tcp_port: int, network: Network | None) -> Any: ...

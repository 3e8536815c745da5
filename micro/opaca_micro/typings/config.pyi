from typing import Any

class ConfigError(Exception): ...

class Config:
    name: str
    platform: str
    user: str
    password: str
    token: str
    key: str
    port: int
    wifi: dict[str, str] | None
    url: str
    push: bool
    ntp: str
    watchdog: bool
    settings: dict[str, Any]

def load(path: str = "opaca.json") -> Config: ...
def checked(values: Any, path: str = "opaca.json") -> Config: ...

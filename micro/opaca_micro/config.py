"""The settings of a board: one JSON file, looked at key by key, so that a slip is named before anything starts."""

import json

# key -> type, whether it must be there, what is expected; the words are what people read.
_KEYS = {
    "name": (str, True, "1 to 64 of a-z, 0-9 and -"),
    "platform": (str, True, "http://host:port; boards speak no https"),
    "user": (str, False, "text"),
    "password": (str, False, "text"),
    "token": (str, False, "one word, as `opaca-edge boards add` prints it"),
    "key": (str, False, "1 to 200 characters"),
    "port": (int, False, "a whole number from 1 to 65535"),
    "wifi": (dict, False, '{"ssid": "...", "password": "..."}'),
    "url": (str, False, "http://host:port, as the platform reaches this board"),
    "push": (bool, False, "true or false"),
    "ntp": (str, False, "a time server; empty for none"),
    "watchdog": (bool, False, "true or false"),
    "settings": (dict, False, "an object, for your own program"),
}
_WIFI = {
    "ssid": (str, True, "1 to 32 bytes"),
    "password": (str, False, "8 to 64 bytes; left out for an open network"),
    "hostname": (str, False, "1 to 32 of a-z, 0-9 and -"),
}
_DEFAULTS = {"port": 80, "wifi": None, "push": False, "ntp": "pool.ntp.org", "watchdog": True, "settings": {}}


class ConfigError(Exception):
    """A setting that cannot be used; the words name it and say what is expected."""


class Config:
    """Settings of a board that were found to be usable. Without methods, so that this module can go from memory.

    Attributes:
        name: Of the board, for people.
        platform: Base URL of the platform, without a slash at its end.
        user, password, token: What the board is at its platform; empty where it needs none.
        key: What the platform knows this board by, whatever its address.
        port: Where it listens, TCP.
        wifi: None (there is another network) or a dictionary with `ssid`, `password`, `hostname`.
        url: Its own base URL; empty for the address that it gets from the network.
        push: It sleeps most of the time and is never called.
        ntp: Time server; empty for none.
        watchdog: Whether the board is reset when it hangs.
        settings: A dictionary for the author's program.
    """


def load(path="opaca.json"):
    """Return the settings in a file.

    Raises:
        ConfigError: there is none, it is no JSON, or a value cannot be used.
    """
    try:
        with open(path) as file:
            text = file.read().strip()
        # MicroPython's reader takes a file that ends too early for a whole one.
        if text[:1] == "{" and text[-1:] != "}":
            raise ValueError
        values = json.loads(text)
    except OSError:
        raise ConfigError(path + ": there is no such file; `opaca-edge boards add` writes one")
    except ValueError:
        raise ConfigError(path + ": not JSON; look for a missing comma or quotation mark")
    return checked(values, path)


def checked(values, path="opaca.json"):
    """Return settings; raises as `load`."""
    if type(values) is not dict:
        raise ConfigError(path + ": expected one JSON object")
    _look(values, _KEYS, path, "")
    if "wifi" in values:
        _look(values["wifi"], _WIFI, path, "wifi.")
    elif "url" not in values:
        raise ConfigError(path + ": url: expected, as there is no wifi that would give this board an address")
    if values.get("password") and not values.get("user"):
        raise ConfigError(path + ": user: expected, as there is a password")
    config = Config()
    for key in _KEYS:
        setattr(config, key, values.get(key, _DEFAULTS.get(key, "")))
    config.platform = config.platform.rstrip("/")
    config.url = config.url.rstrip("/")
    config.key = config.key or _unique_id(path)
    if config.wifi:
        for key, value in (("password", ""), ("hostname", config.name[:32])):
            config.wifi.setdefault(key, value)
    return config


def _look(values, keys, path, prefix):
    if type(values) is not dict:
        raise ConfigError(path + ": " + prefix[:-1] + ": expected " + _KEYS["wifi"][2])
    for key in values:
        if key not in keys:
            known = ", ".join(sorted(keys))
            raise ConfigError(path + ": " + prefix + key + ": there is no such setting; expected one of " + known)
    for key, (kind, is_needed, expected) in keys.items():
        place = path + ": " + prefix + key
        if key not in values:
            if is_needed:
                raise ConfigError(place + ": missing; expected " + expected)
            continue
        value = values[key]
        if type(value) is not kind or not _fits(prefix + key, value):
            shown = "" if key in ("password", "token") else ", found " + json.dumps(value)
            raise ConfigError(place + ": expected " + expected + shown)


def _fits(key, value):
    if key in ("name", "wifi.hostname"):
        return 0 < len(value) <= (64 if key == "name" else 32) and _is_plain(value)
    if key in ("platform", "url"):
        return _is_base_url(value)
    if key == "key":
        return 0 < len(value) <= 200
    if key == "token":
        return not [c for c in value if not "!" <= c <= "~"]
    if key == "port":
        return 0 < value < 65536
    if key == "wifi.ssid":
        return 0 < len(value.encode()) <= 32
    if key == "wifi.password":
        return 8 <= len(value.encode()) <= 64
    return True


def _is_plain(text):
    return not [c for c in text if c not in "abcdefghijklmnopqrstuvwxyz0123456789-"]


def _is_base_url(text):
    scheme, _, rest = text.partition("://")
    host, colon, tcp_port = rest.rstrip("/").partition(":")
    is_host = host and not [c for c in host if not "!" <= c <= "~" or c in "/@?#[]"]
    return scheme == "http" and is_host and (not colon or (tcp_port.isdigit() and 0 < int(tcp_port) < 65536))


def _unique_id(path):
    try:
        from machine import unique_id
    except ImportError:
        raise ConfigError(path + ": key: expected, as this machine has no unique id")
    return "".join(["%02x" % byte for byte in unique_id()])

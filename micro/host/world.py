"""What the stand-ins measure and move: a greenhouse on a shelf, driven by `host.json` in the working directory.

The file is read again at every look, so that it may change while the board runs. All keys may be missing:

    ip, wifi, rssi     what the access point gives; false switches it off: "127.0.0.1", true, -61
    ssid, password     of the access point: whatever the board wants
    unique_id          of the chip, in hex: "0011223344556677"
    reset_cause        power, reset, watchdog or deepsleep: "power"
    wiring             pin -> soil, light, door, pump or a word of your own; "!pump" is active low: {}
    values             what to measure instead of the curves: {"temperature": 21.5, "button": true}
    fail               what does not answer: ["dht", "bme280", "ds18b20", "soil"]
    seed, day_s        what makes boards differ, and how long a day of the curves lasts, in seconds: 0, 86400
    ds18b20            addresses of the probes, in hex: ["28ff641e8216035c"]
"""

import json
import math
import time

DAY_S = 86400
# A pot dries to 1/e in this part of a day, and a pump of 1 litre per minute wets it by so much of 100 % per second.
DRYING_DAYS = 3
PUMP_PER_S = 2.0

# Pin and level that end a deep sleep (`esp32.wake_on_ext0`).
wake = (None, None)

_outputs = {}
_soil = {"moisture": 45.0, "at_s": None}


def host(key, default=None):
    """Return a key of host.json; the default if there is none, or if it is just being written."""
    try:
        with open("host.json") as file:
            return json.load(file).get(key, default)
    except (OSError, ValueError):
        return default


def is_failing(part):
    """Tell whether a part does not answer now."""
    return part in host("fail", ())


def measured(name):
    """Return the value of temperature (°C), humidity, soil, light (%), pressure (hPa), door; all else is false."""
    value = host("values", {}).get(name)
    return _CURVES.get(name, bool)() if value is None else value


def wired(pin):
    """Return what is connected to a pin and whether it is active low."""
    part = host("wiring", {}).get(str(pin), "")
    return part.lstrip("!"), part.startswith("!")


def input_level(pin, idle):
    """Return the level of an input pin; `idle` is that of one with nothing connected."""
    part, is_low = wired(pin)
    return int(bool(measured(part)) != is_low) if part else idle


def set_output(pin, level):
    """Take over the level of an output pin; water starts or stops with that of the pump."""
    part, is_low = wired(pin)
    if part:
        _soil_now()
        _outputs[part] = bool(level) != is_low


def is_on(part):
    """Tell whether an output is on."""
    return _outputs.get(part, False)


def _day():
    """Return the days that passed, with a fraction: .0 is midnight."""
    return time.time() / host("day_s", DAY_S)


def _own(swings):
    """Return -1 to 1: what swings so often a day, elsewhere on another board."""
    return math.sin(_day() * swings * 2 * math.pi + host("seed", 0))


def _temperature():
    # Warmest at three in the afternoon; a passing cloud moves it a little.
    return 21 + 6 * math.cos((_day() - 0.625) * 2 * math.pi) + 0.4 * _own(60)


def _humidity():
    return min(95, max(20, 58 - 3 * (measured("temperature") - 21) + _own(50)))


def _pressure():
    return 1013 + 6 * _own(0.2) + 0.3 * _own(40)


def _light():
    return max(0, 100 * math.sin((_day() % 1 - 0.25) * 2 * math.pi))


def _door():
    # Somebody comes by 288 times a day, thus every five minutes, and leaves it open for half a minute.
    return (_day() * 288 + host("seed", 0) * 0.37) % 1 >= 0.9


def _soil_now():
    now = time.time()
    passed = now - _soil["at_s"] if _soil["at_s"] else 0
    dried = _soil["moisture"] * math.exp(-passed / (DRYING_DAYS * host("day_s", DAY_S)))
    _soil["moisture"] = min(95, dried + PUMP_PER_S * passed) if is_on("pump") else dried
    _soil["at_s"] = now
    return _soil["moisture"]


_CURVES = {
    "temperature": _temperature,
    "humidity": _humidity,
    "pressure": _pressure,
    "light": _light,
    "door": _door,
    "soil": _soil_now,
}

"""What the stand-ins measure and move: a greenhouse on a shelf, driven by `host.json` in the working directory.

The file is read again at every look, so that it may change while the board runs. All keys may be missing:

    ip, wifi, rssi         what the access point gives; false switches it off   ("127.0.0.1", true, -61)
    unique_id              of the chip, in hex   ("0011223344556677")
    reset_cause            power, reset, watchdog or deepsleep   ("power")
    wiring                 pin -> soil, light, door, button, pump, ...; "!pump" is active low    ({})
    values                 what to measure instead of the curves: {"temperature": 21.5, "door": true}
    fail                   what does not answer: ["dht", "bme280", "ds18b20", "soil"]
    seed, day_s            where the curves begin, and how long a day of them lasts, in seconds  (0, 86400)
    ds18b20                addresses of the probes, in hex   (["28ff641e8216035c"])
"""

import json
import math
import time

DAY_S = 86400
# A pot dries to 1/e in this part of a day, and a pump of 1 litre per minute wets it by so much of 100 % per second.
DRYING_DAYS = 3
PUMP_PER_S = 2.0

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
    """Return the value of temperature (°C), humidity, soil, light (%), pressure (hPa); door, button (bool)."""
    value = host("values", {}).get(name)
    return _CURVES.get(name, _wave)() if value is None else value


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


def next_change_s():
    """Return after how many seconds the door moves next; None if host.json holds it."""
    if "door" in host("values", {}):
        return None
    passed = (_day() * 288) % 1
    return ((0.9 if passed < 0.9 else 1) - passed) * host("day_s", DAY_S) / 288


def _day():
    """Return the days that passed, with a fraction: .0 is midnight."""
    return time.time() / host("day_s", DAY_S) + host("seed", 0) * 0.37


def _wave():
    return 50 + 40 * math.sin(_day() * 240)


def _temperature():
    # Warmest at three in the afternoon; a passing cloud moves it a little.
    return 21 + 6 * math.cos((_day() - 0.625) * 2 * math.pi) + 0.3 * math.sin(_day() * 400)


def _humidity():
    return min(95, max(20, 58 - 3 * (measured("temperature") - 21)))


def _pressure():
    return 1013 + 6 * math.sin(_day() * 1.3) + 0.5 * math.sin(_day() * 40)


def _light():
    return max(0, 100 * math.sin((_day() % 1 - 0.25) * 2 * math.pi))


def _door():
    # Somebody comes by every five minutes of a day's length and leaves it open for thirty seconds.
    return (_day() * 288) % 1 >= 0.9


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
    "button": bool,
    "soil": _soil_now,
}

"""Stands in for MicroPython's `machine` on a computer: pins, converters and buses of a board that is not there.

A reset ends the process as the real one does, without any `finally`; whoever started it starts it again: exit code
RESET_EXIT after `reset()`, SLEEP_EXIT when it wakes from `deepsleep()` (the file `wake` tells why), signal SIGALRM when
the watchdog was not fed. `reset_cause()` is what host.json says (`world.py`).
"""

import gc
import sys
import time

import world

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
PIN_WAKE, TIMER_WAKE = 2, 4
RESET_EXIT, SLEEP_EXIT = 93, 94
# What an ESP32 keeps through a deep sleep.
RTC_BYTES = 2048

_IS_MICROPYTHON = sys.implementation.name == "micropython"
if not _IS_MICROPYTHON:
    # Programs tell what memory they have left; a computer's Python cannot, so it is about that of an ESP32.
    gc.mem_free = lambda: 110_000
# Functions of the C library, once they are needed.
_system = {}


def unique_id():
    """Return the bytes that tell this chip from all others."""
    text = world.host("unique_id", "0011223344556677")
    return bytes(int(text[at : at + 2], 16) for at in range(0, len(text), 2))


def reset_cause():
    """Return why the board started."""
    causes = {"reset": HARD_RESET, "watchdog": WDT_RESET, "deepsleep": DEEPSLEEP_RESET}
    return causes.get(world.host("reset_cause"), PWRON_RESET)


def wake_reason():
    """Return what ended the deep sleep: PIN_WAKE, TIMER_WAKE, or 0 if there was none."""
    if reset_cause() != DEEPSLEEP_RESET:
        return 0
    with open("wake") as file:
        return int(file.read())


def reset():
    """Start the board anew; does not return."""
    _end(RESET_EXIT)


def deepsleep(time_ms=0):
    """Sleep for so long, 0 is for ever, or until the pin of `esp32.wake_on_ext0` has its level; then start anew."""
    _set_timer(0)
    pin, level = world.wake
    begin_s = time.time()
    reason = None
    while reason is None:
        if pin is not None and pin.value() == level:
            reason = PIN_WAKE
        elif time_ms and (time.time() - begin_s) * 1000 >= time_ms:
            reason = TIMER_WAKE
        else:
            time.sleep(0.02)
    with open("wake", "w") as file:
        file.write(str(reason))
    _end(SLEEP_EXIT)


def freq(*_):
    """Return the clock of the processor, in Hz."""
    return 160_000_000


def idle():
    """Wait for the next interrupt."""
    time.sleep(0.001)


def disable_irq():
    """Nothing interrupts on a host."""
    return 0


def enable_irq(state):
    """Nothing was disabled."""


def _end(code):
    if not _IS_MICROPYTHON:
        import os

        sys.stdout.flush()
        os._exit(code)
    import ffi

    ffi.open(None).func("v", "_exit", "i")(code)


def _set_timer(time_ms):
    """Let the system end this process after a time; 0 is never."""
    if not _IS_MICROPYTHON:
        import signal

        signal.setitimer(signal.ITIMER_REAL, time_ms / 1000)
        return
    import struct

    if "setitimer" not in _system:
        import ffi

        _system["setitimer"] = ffi.open(None).func("i", "setitimer", "ipp")
    # struct itimerval: no repetition, then the time until the signal.
    timer = struct.pack("llll", 0, 0, time_ms // 1000, time_ms % 1000 * 1000)
    _system["setitimer"](0, timer, None)


class Pin:
    """A pin; `world` knows what is connected. Interrupts come when an input is looked at (`irq`)."""

    IN, OUT, OPEN_DRAIN = 0, 1, 2
    PULL_UP, PULL_DOWN = 1, 2
    IRQ_FALLING, IRQ_RISING = 2, 1
    WAKE_LOW, WAKE_HIGH = 4, 5

    _levels = {}

    def __init__(self, id, mode=-1, pull=None, value=None, **_):
        self.id = id
        self._mode = self.IN if mode == -1 else mode
        self._pull = pull
        self._handler = None
        self._seen = None
        if value is not None:
            self.value(value)
        elif self._mode != self.IN:
            self._levels.setdefault(id, 0)

    def init(self, mode=-1, pull=-1, value=None, **_):
        """Set the pin up anew."""
        self.__init__(self.id, mode, self._pull if pull == -1 else pull, value)

    def value(self, level=None):
        """Return the level, or set it."""
        if level is not None:
            self._levels[self.id] = int(bool(level))
            if self._mode != self.IN:
                world.set_output(self.id, level)
            return None
        if self._mode == self.OUT:
            return self._levels.get(self.id, 0)
        level = world.input_level(self.id, int(self._pull == self.PULL_UP))
        if self._handler and self._seen not in (None, level):
            edge = self.IRQ_RISING if level else self.IRQ_FALLING
            if edge & self._trigger:
                self._handler(self)
        self._seen = level
        return level

    __call__ = value

    def on(self):
        """Set the level to 1."""
        self.value(1)

    def off(self):
        """Set the level to 0."""
        self.value(0)

    def toggle(self):
        """Set the other level."""
        self.value(not self.value())

    def irq(self, handler=None, trigger=3, **_):
        """Call `handler(pin)` at an edge; on a host it is noticed when `value()` is next asked for."""
        self._seen = None
        self._handler, self._trigger = None, trigger
        self.value()
        self._handler = handler
        return self

    def __repr__(self):
        return f"Pin({self.id})"


class ADC:
    """An analogue input of 16 bits and 3.3 V."""

    ATTN_0DB, ATTN_2_5DB, ATTN_6DB, ATTN_11DB = 0, 1, 2, 3
    # Volts at 0 % and at 100 %: a capacitive soil probe falls as it gets wet, a divider with a photoresistor rises.
    _VOLTS = {"soil": (2.6, 1.2), "light": (0.1, 3.2)}

    def __init__(self, pin, **_):
        self._pin = pin.id if isinstance(pin, Pin) else pin

    def atten(self, attenuation):
        """Choose the range; here it is always the whole one."""

    def read_u16(self):
        """Return the level, 0 to 65535."""
        part, _ = world.wired(self._pin)
        if world.is_failing(part):
            return 0
        low, high = self._VOLTS.get(part, (0, 3.3))
        volts = low + (high - low) * world.measured(part) / 100
        return int(max(0, min(65535, volts / 3.3 * 65535)))

    def read_uv(self):
        """Return the level in microvolts."""
        return self.read_u16() * 3_300_000 // 65535


class I2C:
    """A bus with a BME280 at address 0x76."""

    def __init__(self, id=0, *, scl=None, sda=None, freq=400_000, timeout=50_000):
        self._device = None

    def scan(self):
        """Return the addresses that answer."""
        return [] if world.is_failing("bme280") else [0x76]

    def _at(self, address):
        if address not in self.scan():
            raise OSError(19)  # ENODEV, as on an ESP32 when nobody acknowledges
        if self._device is None:
            from bme280_device import Device

            self._device = Device()
        return self._device

    def readfrom_mem_into(self, address, register, buffer):
        """Fill a buffer from the registers of a device."""
        device = self._at(address)
        for at in range(len(buffer)):
            buffer[at] = device.read(register + at)

    def readfrom_mem(self, address, register, size):
        """Return bytes from the registers of a device."""
        buffer = bytearray(size)
        self.readfrom_mem_into(address, register, buffer)
        return bytes(buffer)

    def writeto_mem(self, address, register, data):
        """Write bytes to the registers of a device."""
        device = self._at(address)
        for at, byte in enumerate(data):
            device.write(register + at, byte)


SoftI2C = I2C


class RTC:
    """The clock and the few bytes that outlive a deep sleep (file `rtc`)."""

    def datetime(self, value=None):
        """Return year, month, day, weekday (0: Monday), hour, minute, second, 0; setting does nothing on a host."""
        now = time.gmtime()
        return None if value else (now[0], now[1], now[2], now[6], now[3], now[4], now[5], 0)

    def memory(self, data=None):
        """Return the bytes, or keep others."""
        if data is not None:
            data = data.encode() if isinstance(data, str) else data
            if len(data) > RTC_BYTES:
                raise ValueError("buffer too long")
            with open("rtc", "wb") as file:
                file.write(data)
            return None
        try:
            with open("rtc", "rb") as file:
                return file.read()
        except OSError:
            return b""


class WDT:
    """Ends the process with SIGALRM when it is not fed in time."""

    def __init__(self, id=0, timeout=5000):
        self._timeout_ms = timeout
        self.feed()

    def feed(self):
        """Start the time anew."""
        _set_timer(self._timeout_ms)

"""Counts boots that came to nothing, so that a board with a broken program can still be reached."""

import json
import os

_FILE = "boots.json"


class Boot:
    """This boot, and what is known of those before it.

    Attributes:
        failed: Boots in a row, up to this one, that came to nothing.
        reason: Why the last one ended, in words; "" if none failed.
        is_safe: It is time for safe mode.
    """

    # So many boots in a row that did not hold for `good_after_s` are followed by safe mode.
    most_failed = 5
    # A lost supply speaks against nobody: somebody at the plug. But a pump that is too much for it looks the same.
    most_cut = 15
    good_after_s = 60

    def __init__(self):
        """Count this boot as failed until `good` or `stopped` is called."""
        self.failed = self._cut = 0
        self.reason = ""
        try:
            with open(_FILE) as file:
                kept = json.load(file)
            self.failed, self.reason, self._cut = int(kept["failed"]), str(kept["reason"]), int(kept.get("cut", 0))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # the first boot, or a file torn by a power cut
        if not self.reason and self.failed:
            self.reason, is_cut = _cause()
            self._cut += is_cut
        by_itself = self.failed - self._cut
        self.is_safe = by_itself >= self.most_failed or self._cut >= self.most_cut
        if self.is_safe:
            # Whatever ends safe mode, somebody at the plug too, gives the program one more chance.
            cut = min(self._cut, self.most_cut - 1)
            _keep(min(by_itself, self.most_failed - 1) + cut, cut, self.reason)
        else:
            self.failing("")

    def failing(self, reason):
        """Say why this boot ends, before it does."""
        if not self.is_safe:
            _keep(self.failed + 1, self._cut, reason[:200])

    def stopped(self):
        """Let this boot count as none: somebody at the console ends it."""
        if not self.is_safe:
            _keep(self.failed, self._cut, self.reason)

    def good(self):
        """This boot has come to something: none has failed."""
        if not self.is_safe:
            _keep(0, 0, "")


def _keep(failed, cut, reason):
    try:
        with open(_FILE + ".new", "w") as file:
            json.dump({"failed": failed, "cut": cut, "reason": reason}, file)
        try:
            os.rename(_FILE + ".new", _FILE)
        except OSError:  # FAT replaces no file
            os.remove(_FILE)
            os.rename(_FILE + ".new", _FILE)
    except OSError as error:
        print("boots are not counted:", error)


def _cause():
    """Say what ended a boot that could not say so itself, and whether that was a lack of power."""
    try:
        import machine

        cause = machine.reset_cause()
        if cause == machine.WDT_RESET:
            return "the watchdog reset the board: something stood still for 8 s, or the server had ended", False
        return "it was reset or lost power", cause == machine.PWRON_RESET
    except (ImportError, AttributeError):
        return "it was reset or lost power", False

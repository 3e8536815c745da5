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
    good_after_s = 60

    def __init__(self):
        """Count this boot as failed until `good` is called."""
        self.failed = 0
        self.reason = ""
        try:
            with open(_FILE) as file:
                kept = json.load(file)
            self.failed, self.reason = int(kept["failed"]), str(kept["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # the first boot, or a file torn by a power cut
        if not self.reason and self.failed:
            self.reason = _cause()
        self.is_safe = self.failed >= self.most_failed
        if self.is_safe:
            # Whatever ends safe mode, somebody at the plug too, gives the program one more chance.
            _keep(self.most_failed - 1, self.reason)
        else:
            self.failing("")

    def failing(self, reason):
        """Say why this boot ends, before it does."""
        if not self.is_safe:
            _keep(self.failed + 1, reason[:200])

    def good(self):
        """This boot has come to something: none has failed."""
        if not self.is_safe:
            _keep(0, "")


def _keep(failed, reason):
    try:
        with open(_FILE + ".new", "w") as file:
            json.dump({"failed": failed, "reason": reason}, file)
        try:
            os.rename(_FILE + ".new", _FILE)
        except OSError:  # FAT replaces no file
            os.remove(_FILE)
            os.rename(_FILE + ".new", _FILE)
    except OSError as error:
        print("boots are not counted:", error)


def _cause():
    try:
        import machine

        if machine.reset_cause() == machine.WDT_RESET:
            return "the watchdog reset the board: something stood still for 8 s, or the server had ended"
    except (ImportError, AttributeError):
        pass
    return "it was reset or lost power"

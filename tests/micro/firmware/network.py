"""The least that passes for `network`: on a board it is firmware and takes no heap, as `micro/host` does here."""

STA_IF = 0


def hostname(name):
    pass


class WLAN:
    def __init__(self, interface):
        pass

    def active(self, is_active):
        pass

    def config(self, **settings):
        pass

    def isconnected(self):
        return True

    def ifconfig(self):
        return ("127.0.0.1", "", "", "127.0.0.1")

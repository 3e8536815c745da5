"""The least that passes for `dht`: on a board it is firmware and takes no heap, as `micro/host` does here."""


class DHT22:
    def __init__(self, pin):
        pass

    def measure(self):
        pass

    def temperature(self):
        return 21.5

    def humidity(self):
        return 40.0


DHT11 = DHT22

"""The bridge: joins platforms and boards that cannot reach each other by HTTP, over any MQTT broker."""

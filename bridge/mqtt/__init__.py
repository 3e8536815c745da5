"""The bridge's link over MQTT: topics, the driver of paho on the event loop, and the connection that comes back."""

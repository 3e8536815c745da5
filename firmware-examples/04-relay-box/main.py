"""A box with four relays, and a button for the lamp; everything goes off by itself, and when the board is in doubt."""

from opaca_micro import board
from opaca_micro.agent import Agent
from opaca_micro.parts.button import Button
from opaca_micro.parts.relay import Relay

HOUR_S = 3600

# Made here, not when the board is up: all is off from the first moment, in safe mode too.
relays = (
    ("Lamp", Relay(16, active_low=True, longest_s=12 * HOUR_S)),
    ("Fan", Relay(17, active_low=True, longest_s=4 * HOUR_S)),
    ("Heater", Relay(18, active_low=True, longest_s=1 * HOUR_S)),
    ("Socket", Relay(19, active_low=True, longest_s=4 * HOUR_S)),
)


def box():
    """Make the agent."""
    agent = Agent("box", "Four relays in the shed.")
    for name, relay in relays:
        relay.offer(agent, name)

    @agent.action("AllOff", description="Switch everything off.")
    def all_off():
        for _, relay in relays:
            relay.off()

    @agent.channel("all-off")
    def heard(payload, reply_to):
        all_off()

    lamp = relays[0][1]
    Button(4).offer(agent, on_press=lambda: lamp.set(not lamp.is_on()))
    return agent


board.run(box, image_name="relay-box", description="Four relays and a button.")

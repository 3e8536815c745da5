"""A push button.

Wires: one side to the pin, the other to GND; the board's own pull-up does the rest.
"""

from opaca_micro.calling import call
from opaca_micro.parts.contact import LONGEST_S, Contact
from opaca_micro.parts.sampled import described


class Button:
    """A button between a pin and GND."""

    def __init__(self, pin):
        """
        Args:
            pin: Number of the pin.
        """
        self._contact = Contact(pin, is_open_when_closed=True)
        self.presses = 0

    def is_pressed(self):
        """Tell whether it is held now."""
        return self._contact.is_open()

    def count(self):
        """Return how often it was pressed since the board started; needs `watch`."""
        return self.presses

    def offer(self, agent, name="Button", channel=None, on_press=None):
        """Add Is<name>Pressed and Count<name>Presses to an agent, and let it `watch`.

        Args:
            name: What it is.
            channel: Where each press broadcasts the count, if it does.
            on_press: Called at each press, if not None; plain or async.
        """
        text = "Whether it is held now."
        agent.action("Is" + name + "Pressed", result="boolean", description=text)(self.is_pressed)
        text = "How often it was pressed since the board started."
        text = described(text, "range=0..", channel)
        agent.action("Count" + name + "Presses", result="integer", description=text)(self.count)

        async def pressed():
            if channel:
                await agent.broadcast(channel, self.presses)
            if on_press:
                await call(on_press, (), {}, LONGEST_S)

        agent.job(lambda: self.watch(pressed))

    async def watch(self, pressed=None):
        """Count for ever, and call `pressed()` each time it goes down."""

        async def changed(is_down):
            if is_down:
                self.presses += 1
                if pressed:
                    await call(pressed, (), {}, LONGEST_S)

        await self._contact.watch(changed)

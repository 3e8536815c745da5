"""What an author writes: agents with actions, streams, messages and channels, all of them named outright."""


class Failed(Exception):
    """An action could not be done; its text is what the caller reads."""


class Agent:
    """One OPACA agent.

    Functions may be plain or `async`; a plain one that takes long holds up everything else on the board. Whatever they
    raise becomes a 500 with the reason.

    Args:
        agent_id: Unique within the board.
        description: One sentence for whoever looks for an agent.
        agent_type: The kind of agent; by default its ID with a capital letter.
    """

    def __init__(self, agent_id, description="", agent_type=None):
        self.agent_id = agent_id
        self.description = description
        self.agent_type = agent_type or agent_id[:1].upper() + agent_id[1:]
        # Lists, because MicroPython's dictionaries forget the order in which things came.
        self.actions = []
        self.streams = []
        self.channels = []
        self.on_message = None
        self.on_login = None
        self.jobs = []
        self.endings = ()
        self.on_change = None
        self.on_broadcast = None

    def action(self, name, parameters=None, result=None, description=""):
        """Offer the function below as an action; its arguments come by name.

        Args:
            parameters: Name -> type, or name -> {"type", "required", "defaultValue", "items"}.
            result: Its type, or such an object; None for an action that gives nothing back.
            description: May end in a bracket: [unit=°C range=-40..85 class=temperature channel=climate].
        """

        def offer(function):
            self.actions = [one for one in self.actions if one[0] != name]
            self.actions.append((name, function, description, parameters or {}, result))
            return function

        return offer

    def stream(self, name, description="", mode="GET"):
        """Offer the function below as a stream.

        GET: it is a plain generator (MicroPython has no asynchronous ones). It yields a piece to be sent, bytes or
        text, or something to be awaited: `yield asyncio.sleep(1)`. POST: it is called with the bytes that came.
        """

        def offer(function):
            self.streams = [one for one in self.streams if (one[0], one[2]) != (name, mode)]
            self.streams.append((name, function, mode, description))
            return function

        return offer

    def message(self, function):
        """Call `function(payload, reply_to)` with every message sent to this agent."""
        self.on_message = function
        return function

    def channel(self, name):
        """Call the function below, `function(payload, reply_to)`, with every broadcast on a channel."""

        def listen(function):
            self.channels.append((name, function))
            return function

        return listen

    def login(self, function):
        """Let `function(username, password)` decide who may log in: it returns a token, or None for a stranger."""
        self.on_login = function
        return function

    def job(self, function):
        """Run an async function without arguments while the board serves; one that ends or fails is started anew."""
        self.jobs.append(function)
        return function

    def at_end(self, function):
        """Call a plain function without arguments when the program ends, also by Ctrl-C: to switch off what is on."""
        self.endings += (function,)
        return function

    async def broadcast(self, channel, payload):
        """Broadcast on a channel of the platform; False if it did not take it, or cannot be reached now."""
        try:
            return bool(self.on_broadcast) and await self.on_broadcast(channel, payload)
        except OSError:
            return False

    def remove(self, name):
        """Withdraw an action or stream; `changed` tells the platform."""
        self.actions = [one for one in self.actions if one[0] != name]
        self.streams = [one for one in self.streams if one[0] != name]

    def changed(self):
        """Let the platform read the description anew."""
        if self.on_change:
            self.on_change()

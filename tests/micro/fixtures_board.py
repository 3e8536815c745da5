"""The container of the fixtures (tests/contract/README.md) as a board offers it: `fixtures_board.py TCP_PORT [TOKEN]`.

Runs on MicroPython and on CPython.
"""

import asyncio
import sys

from opaca_micro.agent import Agent
from opaca_micro.container import Container
from opaca_micro.rest import Rest

BOX = {
    "type": "object",
    "properties": {"width": {"type": "integer"}, "height": {"type": "integer"}, "label": {"type": "string"}},
    "required": ["width", "height"],
}


def tester():
    """Make the agent `tester`."""
    agent = Agent("tester", "Does what the fixtures expect.")
    offer_sums(agent)
    offer_lists(agent)
    offer_nothings(agent)
    offer_memory(agent)
    return agent


def offer_sums(agent):
    """Offer what takes single values."""

    @agent.action("Say", {"text": "string"}, "string", "Gives it back.")
    def say(text):
        return text

    @agent.action("Add", {"x": "integer", "y": "integer"}, "integer")
    async def add(x, y):
        return x + y

    @agent.action("Echo", {"value": "object"}, "object")
    def echo(value):
        return value

    @agent.action(
        "Scale", {"value": "number", "factor": {"type": "number", "required": False, "defaultValue": 2.0}}, "number"
    )
    def scale(value, factor=2.0):
        return value * factor

    @agent.action("Flip", {"value": "boolean"}, "boolean")
    def flip(value):
        return not value


def offer_lists(agent):
    """Offer what takes lists and boxes."""
    rows = {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}

    @agent.action("Sum", {"rows": rows}, "integer")
    def total(rows):
        return sum(sum(row) for row in rows)

    @agent.action("Area", {"box": "Box"}, "integer")
    def area(box):
        return box["width"] * box["height"]

    @agent.action("Boxes", {"boxes": {"type": "array", "items": {"type": "Box"}}}, "integer")
    def boxes(boxes):
        return len(boxes)


def offer_nothings(agent):
    """Offer what has nothing to say, or fails."""

    @agent.action("Maybe", {"text": {"type": "string", "required": False}}, "string")
    def maybe(text=None):
        return text

    @agent.action("Nothing")
    async def nothing():
        await asyncio.sleep(0)

    @agent.action("Fail")
    def fail():
        raise RuntimeError("it is broken")


def offer_memory(agent):
    """Offer what remembers: messages and streams."""
    heard = []
    collected = bytearray()

    @agent.action("Heard", result={"type": "array", "items": {"type": "object"}})
    def tell():
        return heard

    @agent.action("Forget")
    def forget():
        heard.clear()

    @agent.action("Collected", result="string")
    def tell_collected():
        return "".join("%02x" % byte for byte in collected)

    @agent.stream("Count")
    def count():
        for word in ("one\n", b"two\n", "three\n"):
            yield word
            yield asyncio.sleep(0.01)

    @agent.stream("Collect", mode="POST")
    async def collect(body):
        collected[:] = body

    @agent.message
    @agent.channel("news")
    def hear(payload, reply_to):
        heard.append({"payload": payload, "replyTo": reply_to})


def second():
    """Make the agent with a name that must be escaped."""
    agent = Agent("two +ü", "Offers an action of the same name.", agent_type="Second")

    @agent.action("Say", {"times": "integer"}, "integer")
    def say(times):
        return times

    @agent.action("Where", result="string")
    def where():
        return agent.agent_id

    return agent


def container(container_id, token):
    """Make the container."""
    made = Container(
        None,
        [tester(), second()],
        image_name="contract-container",
        provides=["contract:fixtures"],
        definitions={"Box": BOX},
    )
    made.container_id = container_id
    made.token = token
    return made


def main(tcp_port, container_id="", token=""):
    """Serve until killed."""
    face = Rest(container(container_id, token), port=int(tcp_port), host="127.0.0.1")
    asyncio.run(face.serve())


if __name__ == "__main__":
    main(*sys.argv[1:])

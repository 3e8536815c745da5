"""What an author of agents uses: `from edge.agents import Agent, Container, action, stream`."""

from edge.agents.agent import Agent
from edge.agents.container import Container
from edge.agents.decorators import action, stream
from edge.errors import ActionFailed, CalleeError, NotLoggedIn, OpacaError
from edge.model.descriptions import ArrayItems, ImageParameter, Parameter, PortDescription, StreamMode
from edge.model.requests import Login, Message

__all__ = [
    "ActionFailed",
    "Agent",
    "ArrayItems",
    "CalleeError",
    "Container",
    "ImageParameter",
    "Login",
    "Message",
    "NotLoggedIn",
    "OpacaError",
    "Parameter",
    "PortDescription",
    "StreamMode",
    "action",
    "stream",
]

"""A board with pages of its author's own beside the container: `main(TCP_PORT, CONTAINER_ID, TOKEN)`.

Runs on MicroPython and on CPython.
"""

import asyncio
import sys

from opaca_micro.agent import Agent
from opaca_micro.container import Container
from opaca_micro.pages import Pages
from opaca_micro.rest import Rest


def greenhouse():
    """Make the agent."""
    agent = Agent("greenhouse", "Has a page, too.")
    agent.action("GetTemperature", result="number")(lambda: 21.5)
    return agent


def offer_pages(app):
    """Add routes to the microdot application."""

    @app.get("/")
    def index(request):
        return "<h1>Greenhouse</h1>", {"Content-Type": "text/html"}

    @app.get("/rooms/<name>")
    async def room(request, name):
        await asyncio.sleep(0)
        return {"room": name, "unit": request.args.get("unit", "C")}

    @app.post("/limits")
    def limits(request):
        return {"low": request.json["low"], "form": request.content_type}

    @app.get("/log")
    def log(request):
        return (b"line %d\n" % number for number in range(3)), 200, {"Content-Type": "text/plain"}

    @app.get("/broken")
    def broken(request):
        raise RuntimeError("the page is broken")


def main(tcp_port, container_id="", token=""):
    """Serve until killed."""
    made = Container(None, [greenhouse()], image_name="pages")
    made.container_id = container_id
    made.token = token
    face = Rest(made, port=int(tcp_port), host="127.0.0.1")
    pages = Pages(made)
    offer_pages(pages.app)
    face.answer = pages.answer
    asyncio.run(face.serve())


if __name__ == "__main__":
    main(*sys.argv[1:])

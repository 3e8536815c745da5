"""Pages of the author's own beside the container, by microdot, which costs 8 kB of the heap.

rest = Rest(container)
pages = Pages(container)
rest.answer = pages.answer

@pages.app.get("/")
def index(request):
    return "<h1>Greenhouse</h1>", {"Content-Type": "text/html"}
"""

from microdot import Microdot, Request, Response
from opaca_micro.request import unescaped


class Pages:
    """Answers with what is added to `app`, a microdot application, and for any other path with the container.

    Whoever asks needs the container's token here too. Of the request there are method, path, `args`, `json`, `body` and
    `content_type`; forms, cookies and the other headers are not kept.
    """

    def __init__(self, container):
        self.app = Microdot()
        self.app.options_handler = None
        self.app.errorhandler(404)(self._unknown)
        self._container = container

    async def answer(self, method, path, query, headers, body):
        """Answer a request as `Container.answer` does."""
        request = Request(self.app, None, method, path, "1.0", headers, body=body)
        request.content_type = headers.get("content-type")
        request.query_string = query
        for pair in query.split("&") if query else ():
            name, _, value = pair.partition("=")
            request.args[name] = unescaped(value)
        response = await self.app.dispatch_request(request)
        return response.status_code, response.headers.get("Content-Type"), response.body

    async def _unknown(self, request):
        status, content_type, body = await self._container.answer(
            request.method, request.path, request.query_string, request.headers, request.body
        )
        return Response(body, status, {"Content-Type": content_type} if content_type else None)

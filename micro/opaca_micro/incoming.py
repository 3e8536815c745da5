"""Reading an HTTP request within bounds: nothing is kept before it is known to be wanted and small enough."""

from opaca_micro.request import Refused

# Bytes: of a line that is kept, of all lines, and of what is read at once.
_LINE = 600
_HEAD = 8192
_PIECE = 128
_LONGEST_NAME = 24

_WANTED = (b"authorization", b"content-type", b"content-length", b"transfer-encoding", b"containerlogintoken")


class Incoming:
    """One request.

    Attributes:
        method, path, query: As they came; text.
        headers: Those that matter here, names in lower case.
        unread_bytes: What is still to come of the body.
    """

    def __init__(self, stream):
        self._stream = stream
        self._held = b""
        self._left = _HEAD
        self.unread_bytes = 0
        self.headers = {}

    async def head(self):
        """Read request line and headers.

        Raises:
            Refused: they are too long, or none that can be understood.
            EOFError: the caller has gone.
        """
        line = await self._line()
        if not line:
            raise EOFError
        try:
            self.method, self.url, version = str(line, "utf-8").split(" ")
            self.path, _, self.query = self.url.partition("?")
            if version[:7] != "HTTP/1." or self.path[:1] != "/":
                raise ValueError
            while True:
                line = await self._line(_WANTED)
                if not line:
                    break
                name, value = str(line, "utf-8").split(":", 1)
                name = name.lower()
                value = value.strip()
                if name == "content-length" and self.headers.get(name, value) != value:
                    raise ValueError
                self.headers[name] = value
            length = self.headers.get("content-length", "0")
            if not length.isdigit():
                raise ValueError
            self.unread_bytes = int(length)
        except ValueError:
            raise Refused(400, "no HTTP")
        if "transfer-encoding" in self.headers:
            raise Refused(411, "a board reads no chunks: say Content-Length")

    async def body(self, longest_bytes):
        """Read the body and return it in pieces: who only claims to send much takes no memory.

        Raises:
            Refused: it is too long.
            EOFError: the caller has gone.
        """
        if self.unread_bytes > longest_bytes:
            raise Refused(413, "more than %d bytes" % longest_bytes)
        pieces = []
        while self.unread_bytes:
            pieces.append(await self._piece())
        return pieces

    async def drop(self, longest_bytes):
        """Read away what is left of a body: a connection that is closed before that loses its answer."""
        while self.unread_bytes and longest_bytes > 0:
            longest_bytes -= len(await self._piece())

    async def _piece(self):
        piece = self._held or await self._stream.read(min(self.unread_bytes, _PIECE))
        if not piece:
            raise EOFError
        self._held = piece[self.unread_bytes :]
        piece = piece[: self.unread_bytes]
        self.unread_bytes -= len(piece)
        return piece

    async def _line(self, names=None):
        """Return the next line; of headers only those with one of these names, and the empty one at their end."""
        line = b""
        is_kept = True
        while True:
            end = self._held.find(b"\n")
            if is_kept:
                line += self._held if end < 0 else self._held[:end]
                if names and (end >= 0 or len(line) > _LONGEST_NAME):
                    is_kept = not line.strip() or line.split(b":", 1)[0].lower() in names
                if is_kept and len(line) > _LINE:
                    raise Refused(431, "a line of more than %d bytes" % _LINE)
            if end >= 0:
                self._held = self._held[end + 1 :]
                if is_kept:
                    return line.rstrip(b"\r")
                line = b""
                is_kept = True
                continue
            if not is_kept:
                line = b""
            self._held = await self._stream.read(_PIECE)
            self._left -= len(self._held)
            if not self._held:
                raise EOFError
            if self._left < 0:
                raise Refused(431, "headers of more than %d bytes" % _HEAD)

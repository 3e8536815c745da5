"""Documents that containers name by URL, such as the JSON Schemas of `definitionsByUrl`."""

from __future__ import annotations

from aiohttp import ClientError
from yarl import URL

from edge.errors import BadAnswer, Unreachable
from edge.transport.http_answers import AnswerTooLong, read_body
from edge.transport.http_session import Session

MAX_DOCUMENT_BYTES = 1024 * 1024


async def fetch_document(session: Session, url: str) -> bytes:
    """GET a document of at most 1 MiB; the caller limits the time.

    Args:
        url: Absolute, http or https; whoever calls has made sure that it may be asked for.
    Raises:
        RemoteError: an answer other than success; redirects are not followed.
        Unreachable: no answer, or one that broke off.
        BadAnswer: it is larger.
    """
    target = URL(url)
    origin = str(target.origin())
    path = target.raw_path_qs
    async with session.open(
        "GET", origin, path, {"Accept": "application/schema+json, application/json, */*"}
    ) as answer:
        try:
            return await read_body(answer, MAX_DOCUMENT_BYTES)
        except AnswerTooLong:
            raise BadAnswer(f"{url} has more than {MAX_DOCUMENT_BYTES} bytes") from None
        except ClientError as error:
            raise Unreachable(f"{url} broke off") from error

"""What is said to a dispatch function that does what cannot be done in one task."""

from typing import Final

__all__ = ["CUT", "ELSEWHERE", "INCOMPLETE", "IN_A_SCOPE", "NOTHING", "NO_RESPONSE", "TWICE"]

TWICE: Final = (
    "call_next was called a second time, and an app serves a request once. To try again, write a"
    " middleware of plain ASGI, which calls its app as often as it likes"
)
ELSEWHERE: Final = (
    "{} was awaited in another task than dispatch, as asyncio.wait_for(), gather() and"
    " create_task() do: await it in dispatch itself. To limit the time put asyncio.timeout() around"
    " it; a body may be given to a StreamingResponse"
)
IN_A_SCOPE: Final = (
    "call_next was awaited inside of a cancel scope or a task group of anyio or trio, which would"
    " be left elsewhere than it was entered. Leave it before call_next; to limit the time put"
    " asyncio.timeout() around call_next, or use TimeoutMiddleware"
)
NOTHING: Final = "No response returned. The app has ended and had not sent a head"
INCOMPLETE: Final = "The app has ended and had not sent the end of its response"
CUT: Final = (
    "the app has cancelled its send of a response while dispatch worked on it, and then has ended"
    " as if it had been sent. Await less after call_next, let the app wait longer, or shield"
    " its send from the cancel scope that it is in"
)
NO_RESPONSE: Final = "dispatch returned {}: return what call_next gave, or another response"

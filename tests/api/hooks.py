"""What schemathesis has to know of the interface: a message is bytes, and every body of bytes is of its form."""

import schemathesis
from hypothesis import strategies as st

MESSAGE = "application/vnd.slacktide.message"

schemathesis.openapi.media_type(MESSAGE, st.binary(min_size=1, max_size=2_000))


@schemathesis.serializer(MESSAGE)
def message(context, value):
    """Sends the bytes as they are."""
    return value if isinstance(value, bytes) else str(value).encode()

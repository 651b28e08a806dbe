"""Why a cluster could not be attached to, in one line that says what to do."""

from __future__ import annotations

import platform
import re
from importlib import metadata

from hw2tune.errors import ResourceError
from hw2tune.text.plain import first_line


def connection_error(address: str, said: str) -> ResourceError:
    """Ray's own text, `said`, as an error that a user can act on."""
    mismatch = re.search(r"cluster was started with:\s*Ray: (\S+)\s*Python: (\S+)", said)
    if mismatch:
        return ResourceError(
            f"--address {address}: the cluster runs Ray {mismatch[1]} on Python {mismatch[2]}, this is Ray "
            f"{metadata.version('ray')} on Python {platform.python_version()}; use the cluster's versions here "
            f"(uv run --python {mismatch[2]} --with ray=={mismatch[1]} ...), or these on the cluster"
        )
    if re.search("token|unauthenticated|authentication", said, re.IGNORECASE):
        return token_refused(address, here=True)
    return ResourceError(
        f"--address {address}: no Ray cluster could be reached ({first_line(said, 'no reason given')}); is it running "
        "(`ray start --head`), and does this user have its token in RAY_AUTH_TOKEN or ~/.ray/auth_token?"
    )


def token_refused(address: str, *, here: bool) -> ResourceError:
    """The error of a cluster that wants a token: another than the one that is `here`, or one at all."""
    wants = "a token that is not the one here" if here else "a token, and there is none here"
    return ResourceError(
        f"--address {address}: the cluster wants {wants}; put its token into RAY_AUTH_TOKEN, or name its file in "
        "RAY_AUTH_TOKEN_PATH (default ~/.ray/auth_token)"
    )

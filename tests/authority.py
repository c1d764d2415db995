"""A certificate authority of the tests' own."""

from __future__ import annotations

import atexit
import contextlib
import ssl
from functools import cache
from pathlib import Path

import trustme
from attrs import frozen


@frozen
class Authority:
    """A server's certificate with its key, in one file, and a client's trust in nothing else."""

    pem: Path
    trust: ssl.SSLContext


@cache
def authority() -> Authority:
    """Make one, which then serves all tests; its file is gone when they have ended."""
    issuer = trustme.CA()
    leaf = issuer.issue_cert("localhost", "127.0.0.1")
    ending = contextlib.ExitStack()
    atexit.register(ending.close)
    pem = ending.enter_context(leaf.private_key_and_cert_chain_pem.tempfile())
    # The default context would load the system's certificates: slow, and trust of others.
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    issuer.configure_trust(trust)
    return Authority(Path(pem), trust)

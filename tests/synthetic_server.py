"""A server of sources that misbehave; its one argument is the drain window in seconds.

Run as ``python -m tests.synthetic_server 1``. A message of ``bulky`` fits into no kernel's
buffers, so whoever does not read it stalls.
"""

import sys
import threading

from app.factory import create_hub
from app.logs import configure
from app.server import serve
from app.settings import Settings
from tests.synthetic import SyntheticSource

SETTINGS = Settings(port=0, tick=100, interval=1000, drain=float(sys.argv[1]))
SOURCES = [
    SyntheticSource("bulky", padding=16_000_000),
    SyntheticSource("failing", failure=OSError("the disk is gone")),
    SyntheticSource("hanging", blocker=threading.Event().wait),
]

configure(SETTINGS)
sys.exit(serve(SETTINGS, create_hub(SETTINGS, SOURCES)))

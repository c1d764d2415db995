"""``python -m app`` is ``pulsewire``."""

import sys

from app.cli import main

sys.exit(main())

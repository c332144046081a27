"""The product's own command line, deaf to the `.env` of whoever measures: `python -m bench.product COMMAND …`.

Benchmarks must reach no spreadsheet and no mailbox; all settings come from the environment.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

from orchestration import __main__ as product
from orchestration import settings

if __name__ == "__main__":
    product.read_settings = functools.partial(settings.read_settings, env_file=Path(os.devnull))  # type: ignore[attr-defined]
    sys.exit(product.main(sys.argv[1:]))

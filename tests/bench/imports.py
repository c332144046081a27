"""`python -m bench.imports JSON` imports the modules of the JSON list and prints what that took."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time


def main() -> None:
    """Import them; those that can't be imported alone are left out."""
    began = time.process_time()
    for name in json.loads(sys.argv[1]):
        if name != "__main__":
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    print(json.dumps({"seconds": time.process_time() - began}))


if __name__ == "__main__":
    main()

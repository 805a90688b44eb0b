"""``python -m sm_async_nb.local``."""

import sys

from sm_async_nb.local.cli import main

if __name__ == "__main__":
    sys.exit(main())

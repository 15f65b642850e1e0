"""`python -m towpath_server`: the same as `towpath-server`."""

import sys

from towpath_server.main import main

if __name__ == "__main__":
    sys.exit(main())

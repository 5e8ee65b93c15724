"""One `main(argv) -> int` per command."""

import sys

from ..core.errors import DeviceError
from ..core.process_limits import check_process_limits

try:
    check_process_limits()
except DeviceError as refused:
    print(f"Error: {refused}", file=sys.stderr)
    sys.exit(2)

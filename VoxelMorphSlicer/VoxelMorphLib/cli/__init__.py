"""One `main(argv) -> int` per command."""

from .process_limits import check_process_limits

check_process_limits()  # before any of the libraries is loaded, which abort or try again for ever

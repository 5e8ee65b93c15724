"""One `main(argv) -> int` per command."""

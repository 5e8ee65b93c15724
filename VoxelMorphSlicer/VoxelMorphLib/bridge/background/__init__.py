"""Work outside of the application's thread: the worker process, child processes, and steps."""

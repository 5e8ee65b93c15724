"""The child process that registers for the application: what it does, what is said to it, and the files exchanged."""

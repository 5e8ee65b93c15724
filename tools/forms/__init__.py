"""The forms of the commands, one file each."""

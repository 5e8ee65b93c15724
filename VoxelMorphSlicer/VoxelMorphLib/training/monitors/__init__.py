"""What shows a training while it runs: tables, curves, pictures, a progress bar."""

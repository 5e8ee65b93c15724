"""Figures, tables and HTML pages about a finished registration."""

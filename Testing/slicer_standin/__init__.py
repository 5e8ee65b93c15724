"""A strict stand-in for `qt`, `ctk`, the qMRML widgets and the application of Slicer, over PySide6 and the real scene.

Module code meets PythonQt's rules (https://mevislab.github.io/pythonqt): properties are attributes, unknown attributes,
signals, slots and keyword arguments are errors, and of ctk, qMRML and qSlicer classes only what their headers declare
can be seen. Where PythonQt prints a message and goes on, the stand-in raises or records an error that fails the test.
"""

"""The panel of the module: one file per section, each turns widgets into values and values into what is shown."""

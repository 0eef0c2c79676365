"""The command line of the reference model: one file per verb."""

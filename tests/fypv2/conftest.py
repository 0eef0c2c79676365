"""Lets the tests of this folder and those below it share `small_models`."""

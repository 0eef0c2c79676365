"""The command line: a file a verb, with nothing in it but arguments and printing."""

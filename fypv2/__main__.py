"""`python -m fypv2`, which is what `torchrun -m fypv2` and workers on a cluster run."""

from fypv2.cli.main import main

main()

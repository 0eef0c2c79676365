"""`python -m mcbench`, which is what `torchrun -m mcbench` runs."""

from mcbench.cli.main import main

main()

"""`python -m fypv2.cli`, which launchers of many processes start."""

from __future__ import annotations

from fypv2.cli.main import main

main()

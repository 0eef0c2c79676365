"""Fetch what mcbench cannot make: files over torn connections, archives from strangers, weights, data sets.

`fetch` gets one file, whole or not at all, by way of `http`; `unpack` opens an archive into a `box`; `sources`
understands what a user gives as a source, with `hub` and `youtube`; `weights` sees to the backbones' files and `sets`
to data sets by name.
"""

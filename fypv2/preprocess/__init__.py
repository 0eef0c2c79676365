"""Footage to training data: clips, poses, flow and depth, written as shards.

`runner` divides the work into units that any number of processes claim, `data_folder` keeps what is done, `writer`
writes a unit's shards; `drawn` and `footage` say what the units hold; `probing`, `scenes` and `cutting` turn a video
into clips, `estimating` asks the extractors about them.
"""

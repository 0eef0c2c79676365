"""Running other people's programs: where they are on this machine, how they are started, and what they leave behind.

    installation, configuring   the TOML file that says where everything is, and asking for it
    checkout, digests           the state of the user's checkout and weights, for the result
    starts                      one start for one clip or for many, and taking up a run that stopped
    process, guard, container   a program and all that it starts, ended in time, inside an image or not
    marks                       what is complete, and what it was made from
    frame_files, video_files    frames that go to a program and come back
    ports                       for programs that talk to themselves

An adapter needs `baselines.base` and, of these, `frame_files`, `video_files` and `ports`.
"""

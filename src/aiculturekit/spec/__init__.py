"""What a user writes: `aic.yaml` as frozen models, with the line and column of everything.

Promise: every mistake in the file is found here, all at once, each with its place and the next step; bounded time and memory
on any input. May not: start, open or reach anything; the only file it reads is the one it is told to.
"""

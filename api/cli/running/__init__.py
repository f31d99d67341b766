"""`vivideo batch run`: from a file to a directory of videos, in one command that can be repeated.

source     what the file is, and how it is asked for
asking_for the batch of it, found again by its key
state      what DIR remembers between two runs
names      a file's name for each row
videos     the finished ones, fetched a few at a time
following  the batch to its end
bars       what that looks like
ending     what came of it
"""

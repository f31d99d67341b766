"""A plain model of what the store promises, to run beside the real one (tests/renders/test_model.py).

`expected.py`    the model: dictionaries and integers, no database
`world.py`       the real verbs, and time moved by shifting rows
`scene.py`       what the rules share; `owners.py`, `dispatching.py`, `working.py`: the rules
`work.py`        what a stage's work may come to, written as the pipeline writes it
`invariants.py`  what has to hold after every step, read from the database
"""

"""The stages of a render, a file each: `run(job) -> Outcome`.

A stage decides nothing about leases, retries or messages: it raises what the remote client raises, or returns what its
work came to, and `worker.pipeline` acts on that.
"""

"""The remote render backend: calls, the event stream, and what its words and drafts mean.

`client.Remote` speaks to it, `errors` names what to do when it refuses, and nothing past this package knows what a
code such as 1001 is.
"""

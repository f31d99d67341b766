"""`vivideo hooks listen`: the feed of events, posted to a program on this machine as webhooks are."""

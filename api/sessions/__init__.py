"""Sessions over HTTP: what is asked for, where a user's words go, what is answered."""

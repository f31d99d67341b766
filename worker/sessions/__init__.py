"""Sessions: renders that go on with each other's timeline at the backend, one turn after the other."""

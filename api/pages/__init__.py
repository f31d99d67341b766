"""Pages for people, written by the server: no script, no inline style, nothing fetched from elsewhere."""

"""Media: what a file is, whether it plays, its poster, how it comes down and where it is kept."""

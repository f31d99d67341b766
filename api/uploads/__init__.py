"""Files given to us: received, typed by their content, stored."""

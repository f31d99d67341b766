"""What the intake takes at most."""

from worker.templates.limits import PROMPT_CHARACTERS as PROMPT_CHARACTERS

JSON_BYTES = 256 * 1024
"""A request of 20 assets with the longest addresses and a full prompt is 80 KiB."""
UPLOAD_BYTES = 200 * 1000 * 1000
"""The backend's contract: at most 200 MB a file."""
ASSETS = 20
URL_CHARACTERS = 2_048
TAGS = 20
TAG_CHARACTERS = 64
REFERENCE_CHARACTERS = 200
METADATA_BYTES = 16 * 1024
METADATA_DEPTH = 8
LONGEST_DEADLINE_SECONDS = 30 * 24 * 3600
NAME_CHARACTERS = 200
PAGE = 50
LONGEST_PAGE = 200
EVENTS_PAGE = 500
LARGEST_NUMBER = 2**31 - 1
"""PostgreSQL's integer."""
LONGEST_VIDEO_SECONDS = 3600
"""That a video's length can be compared with: the backend's last a minute."""

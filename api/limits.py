"""What the intake takes at most."""

from worker.templates.limits import PROMPT_CHARACTERS as PROMPT_CHARACTERS

JSON_BYTES = 256 * 1024
"""A request of 20 assets with the longest addresses and a full prompt is 80 KiB."""
UPLOAD_BYTES = 200 * 1000 * 1000
"""The backend's contract: at most 200 MB a file."""
BATCH_JSON_BYTES = 8 * 1024 * 1024
"""500 items of 16 KB; who has more sends a file."""
MESSAGE_BYTES = 4 * 1024 * 1024
"""Of a shop's webhook: a product with thousands of variants is some megabytes."""
UNVERIFIED_BYTES = 64 * 1024 * 1024
"""Of all shops' messages in a process whose signature nobody has looked at yet: an eighth of what compose gives it."""
VERIFIED_BYTES = 64 * 1024 * 1024
"""The same of those that are being decided, or wait for that."""
OF_ONE_TRIGGER_BYTES = 3 * MESSAGE_BYTES
"""Of these, of one trigger."""
SMALL_MESSAGE_BYTES = 256 * 1024
"""Up to here one is small, as nearly all are: an eighth of the room is theirs alone."""
BATCH_ITEMS = 500
"""In a JSON body; a file holds as many as you like."""
BATCH_FILE_BYTES = 8 * 1000 * 1000 * 1000
"""It lies on the intake's disk while it is read: ten million rows of 800 bytes."""
ROW_BYTES = 256 * 1024
"""A row of a file, as a request by itself."""
ASSETS = 20
URL_CHARACTERS = 2_048
TAGS = 20
SESSION_MESSAGES = 50
"""Instructions that a session begins with; any number may follow."""
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
LARGEST_REVISION = 2**53 - 1
"""The largest that every reader of JSON reads exactly; a time in microseconds is smaller."""
LONGEST_VIDEO_SECONDS = 3600
"""That a video's length can be compared with: the backend's last a minute."""

"""Whether a finished video is what was asked for and has nothing plainly wrong with it: examined, judged, reported."""

"""Reports, the review queue, /block, /unblock, /purge and /safety."""

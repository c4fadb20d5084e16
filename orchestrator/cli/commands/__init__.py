"""One module for each verb; each holds a `command`. At its top it imports click and ours only."""

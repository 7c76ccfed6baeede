"""What the updater and the node say to each other: a status file, and files that ask."""

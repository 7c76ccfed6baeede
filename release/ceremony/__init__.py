"""The signing ceremony; its numbered steps are those of release/README.md."""

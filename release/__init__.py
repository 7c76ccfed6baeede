"""Build, sign and publish releases (run by the operators of the project)."""

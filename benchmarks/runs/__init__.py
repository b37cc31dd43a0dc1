"""The scenarios themselves, one file each or one file for a few that differ in a parameter."""

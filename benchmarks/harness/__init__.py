"""How things are measured: in process, and over loopback against a server process."""

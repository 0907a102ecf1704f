"""The remote protocol of gdb: a server for a session (GDB manual, appendix E "GDB Remote Serial Protocol")."""

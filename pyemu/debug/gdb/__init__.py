"""The remote protocol of gdb, for a session (GDB manual, appendix E "GDB Remote Serial Protocol")."""

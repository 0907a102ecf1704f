"""Commands by topic: plain functions on a session that return data.

Each module here is found by :mod:`pyemu.debug.registry`.
"""

"""``pyemu report``: a target's address space as one HTML file."""

SUMMARY = "x"
DESCRIPTION = "x"
EPILOG = "x"


def add_arguments(p):
    pass


def run(a):
    return 0

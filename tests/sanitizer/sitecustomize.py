"""Imported by each Python that runs under a sanitizer, before anything else.

The capstone package loads its library with RTLD_DEEPBIND where os has that, which sanitizers refuse.
"""

import os

if hasattr(os, "RTLD_DEEPBIND"):
    del os.RTLD_DEEPBIND

"""Builds the C core with cffi; everything else is in pyproject.toml."""

from setuptools import setup

setup(
    cffi_modules=["pyemu/native/build.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)

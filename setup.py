"""Packages and plugins; the metadata is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["bittwist", "bittwist.*"]), "twisted.plugins"],
    # Without this an editable install hides the plugins from twistd.
    package_dir={"": "."},
    include_package_data=True,
)

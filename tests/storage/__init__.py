"""Tests of bittwist.storage."""

"""Puts settings and a reactor together into the services that twistd runs."""

from __future__ import annotations

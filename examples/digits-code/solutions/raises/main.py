"""Fails as programs do."""

raise ValueError("no such luck")

"""Fails before it has met anybody."""

raise ValueError("no such luck")

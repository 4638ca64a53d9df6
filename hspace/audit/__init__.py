"""Audits: for whom a direction does something else, and whether it was so before any edit."""

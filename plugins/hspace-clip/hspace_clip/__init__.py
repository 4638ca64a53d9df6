"""CLIP encoders."""

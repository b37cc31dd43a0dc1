"""Signatures made into flat plans, once, and the plans run for every request."""

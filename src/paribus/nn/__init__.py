"""Norms, weight parametrizations and models; torch only."""

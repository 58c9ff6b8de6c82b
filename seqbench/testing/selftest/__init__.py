"""Verification of the measuring code, on models with known properties."""

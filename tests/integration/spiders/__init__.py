"""Spiders of the integration tests."""

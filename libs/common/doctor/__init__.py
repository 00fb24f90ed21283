"""Saying in plain words what is wrong with a configuration or a payload."""

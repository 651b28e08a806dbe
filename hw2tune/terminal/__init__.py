"""Displays and tables for people, while and after a command runs."""

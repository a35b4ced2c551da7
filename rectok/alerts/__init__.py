"""Alerts by webhook and e-mail. No torch here."""

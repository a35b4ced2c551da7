"""Tells people, through a webhook and by e-mail, what they would not see by themselves. No torch here."""

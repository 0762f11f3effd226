"""Races: every order in which things can happen around one case, searched for one that breaks a promise."""

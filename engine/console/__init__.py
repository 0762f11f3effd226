"""What someone clicks: the pages of a running service, and the same as JSON for programs, behind a login with roles."""

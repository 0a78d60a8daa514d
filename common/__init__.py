"""What both trees share: everything that needs no framework."""

"""What both trees share: whatever is not framework code."""

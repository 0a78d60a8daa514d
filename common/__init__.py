"""What both trees share: whatever is not framework code."""

SIZE = 32  # pixels to a side of every image

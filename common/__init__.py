"""What is not framework code, once: numpy only, used by both trees."""

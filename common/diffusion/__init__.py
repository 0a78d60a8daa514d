"""The mathematics of diffusion that no framework is needed for, and a model as noise in, images out."""

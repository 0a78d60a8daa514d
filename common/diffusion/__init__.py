"""The mathematics of diffusion that needs no framework, and Model, from noise to images."""

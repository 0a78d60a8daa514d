"""What maintainers run: weights, pictures and tables for the repository."""

MODELS = {
    "vae": "VAE", "ddpm": "DDPM", "ddpm-distilled": "DDPM, distilled", "ldm": "LDM", "ldm-distilled": "LDM, distilled",
}  # fmt: skip
FRAMEWORKS = {"pytorch": "PyTorch", "jittor": "Jittor"}
SAMPLERS = {"ddpm": "ancestral", "ddim": "DDIM", "dpmpp_2m": "DPM-Solver++"}

"""What maintainers run: weights, pictures and tables for the repository."""

MODELS = {"vae": "VAE", "ddpm": "DDPM", "ldm": "LDM", "ldm-distilled": "LDM, distilled"}
FRAMEWORKS = {"pytorch": "PyTorch", "jittor": "Jittor"}
SAMPLERS = {"ddpm": "ancestral", "ddim": "DDIM", "dpmpp_2m": "DPM-Solver++"}

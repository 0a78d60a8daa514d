"""From a checkpoint to a model that draws, and from a training's options to the space that it trains in."""
from dataclasses import dataclass

from common.checkpoint import carries, find_checkpoint, load_checkpoint
from common.diffusion.model import Model
from common.diffusion.space import Pixels, fit_latents, latents
from common.errors import UserError


@dataclass(frozen=True)
class Pipeline:
    """The classes of a tree that models are made of."""

    device: type
    diffusion: type
    unet: type
    vae: type

    def build_unet(self, config, space, spec):
        """The network of this size, for x_0 in this space and the classes and measures of this data."""
        return self.unet(config, space.shape, len(spec.classes), len(spec.measures))

    def open(self, path, kind, device):
        """The checkpoint named, else the tree's own of this kind; prints which."""
        checkpoint = load_checkpoint(find_checkpoint(path, device.tree, kind), kind)
        if device.is_main_process:
            about = f"{checkpoint.options.kind}, {checkpoint.progress.epoch:.3g} epochs of {checkpoint.spec.name}"
            print(f"model: {checkpoint.path} ({about})")
        return checkpoint

    def load_model(self, path, kind, where):
        """The diffusion model of the checkpoint named, else the tree's own of this kind, ready to draw."""
        device = self.device(where)
        checkpoint = self.open(path, kind, device)
        space = self.load_space(checkpoint, device)
        unet = self.build_unet(checkpoint.options.unet, space, checkpoint.spec)
        unet = device.freeze(checkpoint.fill(unet, "model.", device))
        diffusion = self.diffusion(checkpoint.options.diffusion, space.clip)
        return Model(device, unet, diffusion, space, checkpoint.spec, checkpoint.options, checkpoint)

    def load_vae(self, path, device):
        """The VAE of the checkpoint named, else the tree's own, ready to use; and that checkpoint."""
        checkpoint = self.open(path, "vae", device)
        vae = self.vae(checkpoint.options.vae, checkpoint.spec.shape)
        return device.freeze(checkpoint.fill(vae, "model.", device)), checkpoint

    def load_space(self, checkpoint, device):
        """The space of a diffusion model's x_0: latents, if its checkpoint carries their VAE and their statistics."""
        if not checkpoint.vae:
            return Pixels(checkpoint.spec.shape)
        vae = self.vae(checkpoint.vae, checkpoint.spec.shape)
        vae = device.freeze(checkpoint.fill(vae, "vae.", device))
        shape = (checkpoint.vae.latent_channels,)
        return latents(vae, **checkpoint.take("latent.", {"mean": shape, "std": shape}), device=device)

    def open_space(self, run, images):
        """The space a run trains in, and a function indices -> x_0 for its images (N, C, H, W) uint8.

        A resumed run has its own VAE. UserError if the named VAE is another one or was trained on other data."""
        device, options, classes = run.device, run.options, len(run.spec.classes)
        if options.pixels:
            options.unet.check_data(run.spec.shape, classes)
            space = Pixels(run.spec.shape)
            return space, space.batches(images, device)
        named = options.vae_checkpoint
        if run.resumed:
            vae = self.load_space(run.resumed, device).vae
            if named and named.exists() and not carries(run.resumed, load_checkpoint(named, "vae")):
                raise UserError(f"{run.checkpoint} has another VAE than {named}: leave --vae-checkpoint out")
        else:
            vae, checkpoint = self.load_vae(named, device)
            if checkpoint.spec.digest != run.spec.digest:
                problem = f"{checkpoint.path} learned {checkpoint.spec.name}, not {run.spec.name}"
                raise UserError(f"{problem}: train a VAE on that, or name its VAE with --vae-checkpoint")
        options.unet.check_data(vae.latent_shape, classes)
        return fit_latents(vae, images, device)

"""From a checkpoint to a model ready to sample, and from training options to the data and the space of x_0."""
import sys
from dataclasses import dataclass, replace

from common.checkpoint import carries, find_checkpoint, load_checkpoint
from common.data.dataset import data_as_it_is, open_dataset
from common.data.source import few
from common.diffusion.model import Model
from common.diffusion.space import Pixels, fit_latents, latents
from common.errors import UserError, escaped
from common.files import CHECKPOINT, run_folder
from common.training.run import check_free, check_kind


@dataclass(frozen=True)
class Pipeline:
    """A tree's classes that models are built from."""

    device: type
    diffusion: type
    unet: type
    vae: type

    def build_unet(self, config, space, spec):
        """A UNet of this size for x_0 in this space and the classes and measures of this Spec."""
        return self.unet(config, space.shape, len(spec.classes), len(spec.measures))

    def open(self, path, kind, device):
        """Load the checkpoint at a path (None: the tree's own of this kind), and print which it is."""
        checkpoint = load_checkpoint(find_checkpoint(path, device.tree, kind), kind)
        if device.is_main_process:
            epochs = checkpoint.progress.epoch  # 0 of a VAE taken from a latent model, where its own are not stored
            more = " more" if checkpoint.options.training.init_from else ""
            trained = f", {epochs:.3g}{more} epochs" if epochs else ""
            about = f"{checkpoint.path} ({checkpoint.options.kind}{trained} of {checkpoint.spec.name})"
            print(f"model: {escaped(about)}")
        return checkpoint

    def load_model(self, path, kind, where):
        """The diffusion model of a checkpoint (None: the tree's own of this kind), ready to sample."""
        device = self.device(where)
        checkpoint = self.open(path, kind, device)
        if checkpoint.options.kind == "vae":
            raise UserError(f"{checkpoint.path} holds a VAE: give the diffusion model that was trained on its latents")
        space = self.load_space(checkpoint, device)
        unet = self.build_unet(checkpoint.options.unet, space, checkpoint.spec)
        unet = device.freeze(checkpoint.fill(unet, "model.", device))
        diffusion = self.diffusion(checkpoint.options.diffusion, space.clip)
        return Model(device, unet, diffusion, space, checkpoint.spec, checkpoint.options, checkpoint)

    def load_vae(self, path, device):
        """(VAE, ready to use; its checkpoint) from a path (None: the tree's own)."""
        checkpoint = self.open(path, "vae", device)
        vae = self.vae(checkpoint.options.vae, checkpoint.spec.shape)
        return device.freeze(checkpoint.fill(vae, "model.", device)), checkpoint

    def load_space(self, checkpoint, device):
        """The space of a diffusion model's x_0: Latents if its checkpoint holds a VAE, else Pixels."""
        if not checkpoint.vae:
            return Pixels(checkpoint.spec.shape)
        vae = self.vae(checkpoint.vae, checkpoint.spec.shape)
        vae = device.freeze(checkpoint.fill(vae, "vae.", device))
        shape = (checkpoint.vae.latent_channels,)
        return latents(vae, **checkpoint.take("latent.", {"mean": shape, "std": shape}), device=device)

    def open_data(self, options, device):
        """(the training data, with measures; the shape of x_0); prints what was found in the data.

        If options name no data: that of the run to resume, else of a latent model's VAE, else MNIST."""
        training, latent, measures = options.training, not options.pixels, options.measures
        own = (training.out or run_folder(device.tree, options.kind)) / CHECKPOINT
        check_free(own, training.resume)  # before all pictures are prepared
        before = load_checkpoint(own) if training.resume and own.is_file() else None
        if before:
            check_kind(before, options, own.parent)
            data = data_as_it_is(before, training.data, "resume with that data")
            data = replace(data, spec=replace(data.spec, classes=before.spec.classes))
            measures = tuple(before.spec.measures) if measures is None else measures
        elif latent:
            before = load_checkpoint(find_checkpoint(options.vae_checkpoint, device.tree, "vae"), "vae")
            cure = "train a VAE on this data, or choose its VAE with --vae-checkpoint"
            data = data_as_it_is(before, training.data, cure)
        else:
            data = open_dataset(training.data, options.preprocessing)
        if device.is_main_process:
            print(data)
            seen = data.train.labels[: training.limit].tolist()
            if options.kind != "vae" and (unseen := set(range(len(data.spec.classes))).difference(seen)):
                names = few([data.spec.classes[label] for label in sorted(unseen)])
                print(f"warning: the first {training.limit} images have none of the classes {names}", file=sys.stderr)
        shape = data.spec.shape
        if latent:
            shape = (before.vae or before.options.vae).fitted(shape).latent_shape(shape)
        return data.measured(measures), shape

    def open_space(self, run, images):
        """(the space of a run's x_0; a function Batch -> x_0 for its images (N, C, H, W) uint8).

        A resumed run keeps its own VAE and statistics; UserError if --vae-checkpoint names another."""
        device, options = run.device, run.options
        if options.pixels:
            space = Pixels(run.spec.shape)
            return space, space.batches(images, device, options.training)
        named = options.vae_checkpoint
        if run.resumed:
            if named and named.exists() and not carries(run.resumed, load_checkpoint(named, "vae")):
                raise UserError(f"{run.checkpoint} has another VAE than {named}: leave out --vae-checkpoint")
            space = self.load_space(run.resumed, device)
            return space, space.batches(images, device, options.training)
        vae, _ = self.load_vae(named, device)
        options.unet.check_data(vae.latent_shape, len(run.spec.classes))  # before all images are encoded
        return fit_latents(vae, images, device, options.training)

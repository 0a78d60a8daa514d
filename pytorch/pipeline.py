"""This tree's classes, from which a checkpoint is turned into a model."""
from common.pipeline import Pipeline
from device import Device
from model.ddpm import GaussianDiffusion
from model.unet import ConditionalUNet
from model.vae import VAE

pipeline = Pipeline(Device, GaussianDiffusion, ConditionalUNet, VAE)

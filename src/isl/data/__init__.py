"""Normalisation, samples, patches, splits and augmentation."""

"""In silico labeling: predict fluorescence from transmitted light, pixel by pixel."""

__version__ = "0.1.0"

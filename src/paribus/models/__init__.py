"""Networks for samples of any size: Model(shape, num_outputs, norm, **options), shape without the batch."""

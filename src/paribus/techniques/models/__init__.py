"""Networks for images of any size: Model(shape (C, H, W), num_outputs, norm, **options)."""

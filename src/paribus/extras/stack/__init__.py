"""Many runs trained as one program: stacked replicas with data, optimizers and records of their own."""

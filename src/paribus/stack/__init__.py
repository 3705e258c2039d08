"""Many runs trained as one program: replicas of one network, stacked, with data, optimizers and records of their own."""

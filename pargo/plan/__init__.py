"""`pargo plan`: what a config will cost before anything runs, from counted operations and measured rates."""
